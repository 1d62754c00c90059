#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "krakend/core/log.h"
#include "krakend/io/clock.h"
#include "krakend/io/disk.h"
#include "krakend/io/loop.h"
#include "krakend/io/net.h"
#include "krakend/io/random.h"

namespace krakend::io {

// The real implementations; a simulation brings its own. They hold a reference to the loop and must not
// outlive it.
std::unique_ptr<Clock> make_system_clock(Loop& loop);
std::unique_ptr<Random> make_system_random();
std::unique_ptr<Net> make_tcp_net(Loop& loop, Clock& clock);
std::unique_ptr<Disk> make_posix_disk();

/// Calls `fn(signal number)` on the loop thread for SIGTERM, SIGINT and SIGHUP until destroyed. SIGPIPE is
/// ignored for the process.
class SignalWatch {
 public:
  SignalWatch(Loop& loop, std::function<void(int)> fn);
  ~SignalWatch();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// Sends datagrams to one place; what cannot be sent is lost. Thread-safe.
class DatagramSender {
 public:
  virtual ~DatagramSender() = default;
  virtual void send(std::string_view packet) = 0;
};
/// `target`: "host:port". Blocks in the resolver: pool.
Result<std::unique_ptr<DatagramSender>> make_datagram_sender(const std::string& target);

/// sd_notify: sends `state` ("READY=1") to $NOTIFY_SOCKET; nothing happens without one.
void notify_service_manager(std::string_view state);
/// Resident memory of this process, in bytes; 0 where the system does not tell.
uint64_t memory_use();
/// Bytes that were given back to the allocator and that it keeps from the system; and having it return them.
size_t kept_memory();
void return_memory();
/// What the control group of this process allows it, in bytes; nullopt: no limit.
std::optional<uint64_t> memory_allowed();
/// Descriptors that this process has open, and may have.
size_t open_files();
size_t open_files_max();
/// First IPv4 address of eth0, ib0, eth1, eth2 in this order that is not loopback (contract config-ops §3).
std::optional<std::string> local_ipv4();
std::string host_name();
/// Names this run of the machine: another one after each boot. Empty where the system does not tell.
std::string boot_id();

}  // namespace krakend::io
