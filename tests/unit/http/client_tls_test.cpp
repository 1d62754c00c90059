#include "client_contract.h"
#include "tls_stage.h"

namespace krakend::http::test {
namespace {

/// A client that speaks TLS, and a stage whose peers do.
class SecuredClient final : public Client {
 public:
  SecuredClient(Stage& stage, ClientOptions options) : material_(stage) {
    secure(stage, material_);
    options.tls = material_.client();
    inner_ = make_client(stage.loop, *stage.clock, std::move(options));
  }
  Task<Result<ClientResponse>> send(ClientRequest request) override {
    return inner_->send(std::move(request));
  }

 private:
  TlsMaterial material_;
  std::unique_ptr<Client> inner_;
};

std::unique_ptr<Client> secured(Stage& stage, ClientOptions options) {
  return std::make_unique<SecuredClient>(stage, std::move(options));
}

constexpr const char* ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

}  // namespace

TEST_CASE("client with tls: requests") {
  client_sends_requests(secured);
}
TEST_CASE("client with tls: answers") {
  client_takes_answers(secured);
}
TEST_CASE("client with tls: failures") {
  client_reports_failures(secured);
}
TEST_CASE("client with tls: kept connections") {
  client_keeps_connections(secured);
}
TEST_CASE("client with tls: stale connections") {
  client_survives_stale_connections(secured);
}
TEST_CASE("client with tls: time limits") {
  client_limits_time(secured);
}
TEST_CASE("client with tls: concurrency") {
  client_limits_concurrency(secured);
}
TEST_CASE("client with tls: a stopped task") {
  client_ends_with_its_task(secured);
}

TEST_CASE("client with tls: sessions are resumed by new connections") {
  ClientStage stage(secured);
  int resumed = 0;
  ScriptedPeer peer(stage, [&](ScriptedPeer& self, io::StreamPtr stream) -> Task<> {
    const auto security = co_await stream->handshake();
    if (security && security->resumed) ++resumed;
    co_await self.read_request(stream);
    co_await ScriptedPeer::say(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
  });
  for (int i = 0; i < 4; ++i) CHECK(stage.get(peer));
  CHECK(peer.accepted == 4);
  CHECK(resumed == 3);
}

TEST_CASE("client with tls: what TLS fails of is said") {
  ClientStage stage(
      [](Stage& at, ClientOptions options) { return make_client(at.loop, *at.clock, options); });
  TlsMaterial material(stage);
  secure(stage, material);
  ScriptedPeer peer(stage, ScriptedPeer::always(ok));
  auto wanted = material.pki.client_options();
  wanted.server_name = "other";
  ClientOptions options;
  options.tls = krakend::test::take(io::TlsClient::load(*stage.disk, wanted));
  stage.client = make_client(stage.loop, *stage.clock, options);
  const auto response = stage.get(peer);
  REQUIRE_FALSE(response);
  CHECK(response.error().code == Errc::protocol);
  CHECK_THAT(response.error().message,
             Catch::Matchers::Contains("GET " + peer.address().str()) &&
                 Catch::Matchers::Contains("its certificate is not valid for other: hostname mismatch"));
}

}  // namespace krakend::http::test
