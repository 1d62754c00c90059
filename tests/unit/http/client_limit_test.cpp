#include "krakend/http/client.h"
#include "server_stage.h"

namespace krakend::http::test {
namespace {

TEST_CASE("client: calls that wait have a limit, and room comes back") {
  ServerStage stage([](Stage& s) { return make_server(s.loop, *s.clock, *s.net, Logger()); });
  io::Condition go(stage.loop);
  int waiting = 0;
  stage.serve([&](Request&) -> Task<Response> {
    ++waiting;
    co_await go.wait();
    co_return text_response(200, "done");
  });
  ClientOptions options;
  options.max_threads = 1;
  options.max_calls = 2;
  const auto client = make_client(stage.loop, *stage.clock, options);
  std::vector<Result<ClientResponse>> answers;
  const auto call = [&]() -> Task<> {
    ClientRequest request;
    request.host = stage.address;
    request.target = "/";
    answers.push_back(co_await client->send(request));
  };
  io::TaskGroup calls(stage.loop);
  calls.spawn(call(), "in flight");
  calls.spawn(call(), "waits");
  stage.until([&] { return waiting == 1; });
  stage.run(call());
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].error().code == Errc::unavailable);
  stage.until([&] {
    go.notify_all();
    return answers.size() == 3;
  });
  CHECK(answers[1]);
  CHECK(answers[2]);
  calls.spawn(call(), "later");
  stage.until([&] {
    go.notify_all();
    return answers.size() == 4;
  });
  CHECK(answers[3]);
}

}  // namespace
}  // namespace krakend::http::test
