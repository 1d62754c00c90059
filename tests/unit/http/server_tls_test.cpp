#include "server_contract.h"
#include "tls_stage.h"

namespace krakend::http::test {
namespace {

/// A server whose listeners have TLS, whatever they are asked for; the wires of its stage are secured.
class SecuredServer final : public Server {
 public:
  explicit SecuredServer(Stage& stage)
      : material_(stage),
        plain_net_(io::make_tcp_net(stage.loop, *stage.clock)),
        inner_(make_server(stage.loop, *stage.clock, *plain_net_, Logger())) {
    secure(stage, material_);
  }
  Result<io::Address> listen(ListenOptions options, Router router) override {
    options.tls = material_.server();
    return inner_->listen(std::move(options), std::move(router));
  }
  void configure(std::function<void(ListenOptions&)> change) override {
    inner_->configure(std::move(change));
  }
  void overload(bool now) override { inner_->overload(now); }
  Task<> stop(Duration grace) override { return inner_->stop(grace); }

 private:
  TlsMaterial material_;
  std::unique_ptr<io::Net> plain_net_;
  std::unique_ptr<Server> inner_;
};

std::unique_ptr<Server> secured(Stage& stage) {
  return std::make_unique<SecuredServer>(stage);
}
std::unique_ptr<Server> real(Stage& stage) {
  return make_server(stage.loop, *stage.clock, *stage.net, Logger());
}

/// A server with TLS, and clients of all kinds.
struct TlsStage {
  TlsStage() : stage(real), material(stage) {
    stage.options.tls = material.server();
    stage.options.idle_timeout = 5s;
  }
  Wire connect(std::shared_ptr<io::TlsClient> client) {
    auto plain = stage.run(stage.net->connect(stage.address, 5s));
    REQUIRE(plain);
    return Wire(stage, io::make_tls_stream(stage.loop, *plain, std::move(client), stage.address.host));
  }
  std::string post() const { return "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"; }

  ServerStage stage;
  TlsMaterial material;
};

}  // namespace

TEST_CASE("server with tls: requests") {
  server_reads_requests(secured);
}
TEST_CASE("server with tls: malformed heads") {
  server_refuses_malformed_heads(secured);
}
TEST_CASE("server with tls: limits of a head") {
  server_limits_heads(secured);
}
TEST_CASE("server with tls: request bodies") {
  server_feeds_bodies(secured);
}
TEST_CASE("server with tls: broken request bodies") {
  server_treats_broken_bodies(secured);
}
TEST_CASE("server with tls: slow senders") {
  server_waits_for_slow_senders(secured);
}
TEST_CASE("server with tls: framing of responses") {
  server_frames_responses(secured);
}
TEST_CASE("server with tls: content from files") {
  server_sends_content(secured);
}
TEST_CASE("server with tls: content that arrives late") {
  server_sends_late_content(secured);
}
TEST_CASE("server with tls: a request without an answer") {
  server_answers_in_time(secured);
}
TEST_CASE("server with tls: stop") {
  server_stops(secured);
}

TEST_CASE("server with tls: plain HTTP is answered at once") {
  TlsStage tls;
  tls.stage.serve(say_ok);
  for (const std::string& request : {get("/"), tls.post(), std::string("PUT / HTTP/1.1\r\n\r\nrest")}) {
    const auto response = tls.stage.ask(request);
    CHECK(response.status == 400);
    CHECK(response.body == "client sent an HTTP request to an HTTPS port\n");
  }
}

TEST_CASE("server with tls: handlers know how the request came") {
  TlsStage tls;
  tls.stage.serve([](Request& request) -> Task<Response> {
    co_return text_response(200, request.secured ? "secured" : "plain");
  });
  CHECK(tls.connect(tls.material.client()).send(get("/")).response().body == "secured");
}

TEST_CASE("server with tls: client certificates") {
  TlsStage tls;
  tls.stage.serve(say_ok);

  SECTION("none, from this host: everything") {
    auto wire = tls.connect(tls.material.anonymous());
    CHECK(wire.send(get("/")).response().status == 200);
    CHECK(wire.send(tls.post()).response().status == 200);
  }
  SECTION("a valid one: everything") {
    CHECK(tls.connect(tls.material.client()).send(tls.post()).response().status == 200);
  }
  SECTION("an invalid one: nothing") {
    const krakend::test::TestCertificate stranger({"Stranger"});
    auto options = tls.material.pki.client_options();
    options.files.cert = tls.material.pki.put("stranger.pem", stranger.certificate_pem());
    options.files.key = tls.material.pki.put("stranger.key", stranger.key_pem());
    const auto client = krakend::test::take(io::TlsClient::load(*tls.stage.disk, options));
    for (const std::string& request : {get("/"), tls.post()}) {
      auto wire = tls.connect(client);
      const auto response = wire.send(request).response();
      CHECK(response.status == 400);
      CHECK_THAT(response.body, Catch::Matchers::Contains("client certificate is not valid"));
      CHECK(wire.closed());
    }
  }
}

TEST_CASE("server with tls: a handshake that does not come ends with its connection") {
  TlsStage tls;
  tls.stage.options.head_timeout = 50ms;
  tls.stage.serve(say_ok);
  CHECK(tls.stage.connect().closed());
  CHECK(tls.stage.connect().send("\x16\x03\x01").closed());
}

TEST_CASE("server with tls: a changed certificate is for new connections, the others go on") {
  TlsStage tls;
  tls.stage.serve(say_ok);
  auto old = tls.connect(tls.material.client());
  CHECK(old.send(get("/")).response().status == 200);
  const krakend::test::TestCertificate next({"next", "DNS:other"}, &tls.material.pki.authority);
  tls.material.pki.put("server.pem", next.certificate_pem());
  tls.material.pki.put("server.key", next.key_pem());
  REQUIRE(tls.stage.options.tls->reload(*tls.stage.disk));
  CHECK(old.send(get("/")).response().status == 200);
  auto options = tls.material.pki.client_options();
  options.server_name = "other";
  const auto client = krakend::test::take(io::TlsClient::load(*tls.stage.disk, options));
  CHECK(tls.connect(client).send(get("/")).response().status == 200);
}

}  // namespace krakend::http::test
