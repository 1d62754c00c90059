#include <deque>
#include <fstream>

#include "server_contract.h"

namespace krakend::http::test {
namespace {

std::unique_ptr<Server> real(Stage& stage) {
  return make_server(stage.loop, *stage.clock, *stage.net, Logger());
}

/// A figure of /proc/self/status: "Threads", "VmRSS" (KiB).
size_t process_figure(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != name + ":") continue;
    size_t value = 0;
    status >> value;
    return value;
  }
  return 0;
}

}  // namespace

TEST_CASE("server: requests") {
  server_reads_requests(real);
}
TEST_CASE("server: malformed heads") {
  server_refuses_malformed_heads(real);
}
TEST_CASE("server: limits of a head") {
  server_limits_heads(real);
}
TEST_CASE("server: request bodies") {
  server_feeds_bodies(real);
}
TEST_CASE("server: broken request bodies") {
  server_treats_broken_bodies(real);
}
TEST_CASE("server: slow senders") {
  server_waits_for_slow_senders(real);
}
TEST_CASE("server: framing of responses") {
  server_frames_responses(real);
}
TEST_CASE("server: content from files") {
  server_sends_content(real);
}
TEST_CASE("server: content that arrives late") {
  server_sends_late_content(real);
}
TEST_CASE("server: an answer instead of content that never comes") {
  server_answers_instead_of_late_content(real);
}
TEST_CASE("server: limit on connections") {
  server_limits_connections(real);
}
TEST_CASE("server: a request without an answer") {
  server_answers_in_time(real);
}
TEST_CASE("server: stop") {
  server_stops(real);
}

TEST_CASE("server: a port in use is an error that names it") {
  ServerStage stage(real);
  stage.serve(say_ok);
  auto other = real(stage);
  ListenOptions options;
  options.address = stage.address;
  const auto bound = other->listen(options, Router());
  REQUIRE_FALSE(bound);
  CHECK(bound.error().message.find(stage.address.str()) != std::string::npos);
}

TEST_CASE("server: a thousand idle connections cost no threads and little memory") {
  ServerStage stage(real);
  stage.serve(say_ok);
  CHECK(stage.ask(get("/")).status == 200);
  const auto threads = process_figure("Threads");
  const auto memory = process_figure("VmRSS");
  std::deque<Wire> wires;
  for (int i = 0; i < 1000; ++i) {
    wires.push_back(stage.connect());
    CHECK(wires.back().send(get("/")).response().status == 200);
  }
  CHECK(process_figure("Threads") <= threads + 4);
  // Both ends of each connection live in this process.
  const auto each = static_cast<double>(process_figure("VmRSS") - memory) / 1000.0;
  INFO("KiB per connection: " << each);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(each < 16);
#endif
}

TEST_CASE("server: slow downloads and slow uploads leave other requests unharmed") {
  ServerStage stage(real);
  const auto bytes = pattern(8 * MiB);
  const auto content = std::make_shared<io::FileContent>(stage.file("blob", bytes), bytes.size());
  stage.router.add("GET", "/blob", [&](Request& /*request*/) -> Task<Response> {
    Response response;
    response.body = ContentRange{content, 0, content->size()};
    co_return response;
  });
  stage.router.add("POST", "/echo", echo);
  stage.serve(say_ok);
  std::deque<Wire> slow;
  for (int i = 0; i < 200; ++i) {
    slow.push_back(stage.connect());
    slow.back().send(get("/blob"));
    CHECK(slow.back().bytes(15) == "HTTP/1.1 200 OK");
    slow.push_back(stage.connect());
    slow.back().send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nbegin");
  }
  for (int i = 0; i < 50; ++i) CHECK(stage.ask(get("/")).body == "ok");
  const auto whole = stage.ask(get("/blob"));
  CHECK(whole.body == bytes);
  CHECK(process_figure("Threads") <= 16);
}

}  // namespace krakend::http::test
