#pragma once

#include <memory>
#include <string>
#include <utility>

#include "krakend/http/client.h"
#include "krakend/http/server.h"
#include "krakend/io/system.h"
#include "support/run.h"
#include "support/temp_dir.h"

namespace krakend::test {

/// The real loop, network, disk, HTTP server and client of one process, and a temporary directory: what a
/// role is tested in. Listeners of the test itself (fake upstreams) have a server of their own.
class World {
 public:
  World();
  /// Stops the servers.
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// Runs the loop until the task has ended.
  template <class T>
  T run(Task<T> task) {
    return test::run(loop, std::move(task));
  }

  http::ClientResponse call(std::string method, const io::Address& host, std::string target,
                            std::string body = {}, http::Headers headers = {});
  http::ClientResponse get(const io::Address& host, std::string target, http::Headers headers = {}) {
    return call("GET", host, std::move(target), {}, std::move(headers));
  }
  /// A listener on a free port of loopback for a fake upstream.
  io::Address serve(http::Router router);

  io::Loop loop;
  std::unique_ptr<io::Clock> clock = io::make_system_clock(loop);
  std::unique_ptr<io::Random> random = io::make_system_random();
  std::unique_ptr<io::Net> net = io::make_tcp_net(loop, *clock);
  std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  std::unique_ptr<http::Server> server = http::make_server(loop, *clock, *net, Logger());
  std::unique_ptr<http::Server> upstream = http::make_server(loop, *clock, *net, Logger());
  /// The role's own client, and one for the test.
  std::unique_ptr<http::Client> client = http::make_client(loop, *clock, {});
  std::unique_ptr<http::Client> caller = http::make_client(loop, *clock, {});
  TempDir directory;
};

/// An address that nobody listens on.
io::Address nobody(World& world);

}  // namespace krakend::test
