#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "krakend/core/units.h"
#include "krakend/io/condition.h"
#include "krakend/io/net.h"
#include "krakend/io/random.h"
#include "sim/timeline.h"
#include "sim/trace.h"
#include "support/synthetic.h"

namespace krakend::sim {

using HostId = uint32_t;

struct HostOptions {
  std::string ip;
  unsigned zone = 0;
  uint64_t egress = 0;   ///< bytes a second; 0: no limit
  uint64_t ingress = 0;  ///< bytes a second; 0: no limit
};

struct NetworkOptions {
  /// One way, by zone of sender and receiver; zones beyond are as far as the last one.
  std::vector<std::vector<Duration>> latency{{250us}};
  double jitter = 0.1;         ///< latency varies by this fraction upwards
  Duration loopback = 10us;    ///< one way, inside a host
  uint64_t chunk = 256 * KiB;  ///< bytes that one connection sends before the next one's turn
  uint64_t window = 1 * MiB;   ///< bytes on the way or unread, of one direction of a connection
  uint64_t send_buffer = 512 * KiB;
  uint64_t loopback_chunk = 4 * MiB;  ///< the same three inside a host; the others are twice as large
  double stall_chance = 0;            ///< of each chunk: it is lost and comes `stall` later
  Duration stall = 200ms;
  double reset_chance = 0;  ///< of each chunk: the connection breaks
  uint64_t express =
      2 * KiB;            ///< a message of at most this size on an idle connection goes between the chunks
  size_t backlog = 4096;  ///< connections that wait for accept
};

/// All hosts and what is between them. Each host has a line out that its connections share chunk by chunk in
/// turn, and a line in that takes chunks as they come; a connection has a window as TCP's, so a receiver that
/// is busy slows down nobody but those who send to it. One thread.
class Network {
 public:
  Network(Timeline& time, io::Random& random, Trace& trace, NetworkOptions options);
  ~Network();

  HostId add_host(HostOptions options);
  /// The network as one process on that host sees it, until that process is cut off.
  std::unique_ptr<io::Net> attach(HostId host);
  /// The host is dead, from one moment to the next: nobody is told. What runs on it meets errors only.
  void take_down(HostId host);
  /// It may be attached to again. Who still talks to its former self is refused.
  void bring_up(HostId host);
  /// From now on.
  void set_rates(HostId host, uint64_t egress, uint64_t ingress) {
    hosts_[host].options.egress = egress;
    hosts_[host].options.ingress = ingress;
  }
  uint64_t rate(HostId host) const { return hosts_[host].options.egress; }
  /// What the name server says of a name from now on.
  void set_name(const std::string& name, std::vector<std::string> ips) { names_[name] = std::move(ips); }
  bool up(HostId host) const { return hosts_[host].up; }
  /// Packets from one to the other are lost from now on.
  void block(HostId from, HostId to) { blocked_.insert({from, to}); }
  void heal();

  struct Counters {
    uint64_t sent = 0;  ///< bytes, without those inside the host
    uint64_t received = 0;
    uint64_t dials = 0;
    uint64_t most_connections = 0;
    uint64_t connections = 0;
  };
  const Counters& counters(HostId host) const { return hosts_[host].counters; }
  const std::string& ip(HostId host) const { return hosts_[host].options.ip; }
  Timeline& time() { return time_; }

 private:
  friend class SimNet;
  friend class SimListener;
  friend class SimStream;
  struct Link;
  struct Pipe;
  struct Port;
  struct Host {
    HostOptions options;
    bool up = true;
    uint64_t life = 0;  ///< grows when it is taken down
    bool sending = false;
    bool pumping = false;
    std::deque<Pipe*> line;  ///< whose turn it is to send
    TimePoint in_free{};
    std::map<uint16_t, std::shared_ptr<Port>> ports;
    uint16_t next_port = 32768;
    Counters counters;
  };

  Duration latency(HostId from, HostId to);
  bool reaches(HostId from, HostId to) const { return hosts_[to].up && !blocked_.contains({from, to}); }
  HostId find(HostId self, const std::string& ip) const;
  uint16_t free_port(Host& host);
  Link& make_link(HostId from, io::Address local, HostId to, io::Address remote);
  void count_connection(HostId host, int by);

  bool inside(const Pipe& pipe) const;
  uint64_t chunk_of(const Pipe& pipe) const {
    return inside(pipe) ? options_.loopback_chunk : options_.chunk;
  }
  uint64_t window_of(const Pipe& pipe) const {
    return inside(pipe) ? 2 * options_.loopback_chunk : options_.window;
  }
  uint64_t send_buffer_of(const Pipe& pipe) const {
    return inside(pipe) ? 2 * options_.loopback_chunk : options_.send_buffer;
  }

  // A chunk's way: queued, sent when it is its connection's turn, across, through the receiver's line, read.
  void queue(Pipe& pipe, test::Slice slice);
  template <void (Network::*step)(Pipe&)>
  void later(TimePoint when, Pipe& pipe);
  static void prepare(const void* pipe, size_t before);
  void wake(Pipe& pipe);
  bool can_send(const Pipe& pipe) const;
  bool try_express(Pipe& pipe, test::Slice& slice);
  void pump(HostId host);
  uint64_t take_chunk(Pipe& pipe);
  void sent(Pipe& pipe);
  void depart(Pipe& pipe, uint64_t size);
  void arrive(Pipe& pipe);
  void take_in(Pipe& pipe, uint64_t size);
  void deliver(Pipe& pipe);
  void consumed(Pipe& pipe, uint64_t size);
  void send_end(Pipe& pipe);
  void reset(Link& link, int side);
  void shut(Link& link, int side, bool silently);
  void give_back(Pipe& pipe);
  void let_go(Link& link, int side);
  void settle(Link& link);
  void retry_stalled();

  Timeline& time_;
  io::Random& random_;
  Trace& trace_;
  const NetworkOptions options_;
  std::vector<Host> hosts_;
  std::map<std::string, HostId> by_ip_;
  std::map<std::string, std::vector<std::string>> names_;
  std::map<uint64_t, std::unique_ptr<Link>> links_;
  uint64_t last_link_ = 0;
  std::set<std::pair<HostId, HostId>> blocked_;
  std::vector<std::pair<uint64_t, int>> stalled_;  ///< links and the side that cannot send
};

}  // namespace krakend::sim
