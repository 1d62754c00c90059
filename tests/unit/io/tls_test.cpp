#include "unit/io/tls_world.h"

#include "krakend/io/workers.h"
#include "support/read_exact.h"
#include "unit/io/net_contract.h"
#include "unit/io/net_end_contract.h"

namespace krakend::test {
namespace {

using Certificate = io::PeerSecurity::Certificate;

struct TlsWorld : TlsWorldOf<2> {
  io::Workers watcher{1};
};
struct SingleThreadTlsWorld : TlsWorldOf<0> {};

TEST_CASE("tls: streams") {
  stream_contract<TlsWorld>();
}
TEST_CASE("tls: readers") {
  reader_contract<TlsWorld>();
}
TEST_CASE("tls: readers of bunches") {
  bunch_contract<TlsWorld>();
}
TEST_CASE("tls: what goes at once") {
  immediate_contract<TlsWorld>();
}
TEST_CASE("tls: receive") {
  receive_contract<TlsWorld>();
}
TEST_CASE("tls: transfers") {
  transfer_contract<TlsWorld>();
}
TEST_CASE("tls: transfers on the loop thread alone") {
  transfer_contract<SingleThreadTlsWorld>();
}
TEST_CASE("tls: broken transfers") {
  broken_transfer_contract<TlsWorld>();
}
TEST_CASE("tls: trickling senders") {
  trickle_contract<TlsWorld>();
}
TEST_CASE("tls: many streams on two threads") {
  crowd_contract<TlsWorld>();
}
TEST_CASE("tls: shutdown and cancellation") {
  shutdown_contract<TlsWorld>();
}
TEST_CASE("tls: a step of the pool keeps its descriptor") {
  held_step_contract<TlsWorld>();
}
TEST_CASE("tls: listener") {
  listener_contract<TlsWorld>();
}
TEST_CASE("tls: end of a listener") {
  listener_end_contract<TlsWorld>();
}
TEST_CASE("tls: connect") {
  connect_contract<TlsWorld>();
}

/// What the two ends of a connection came to.
struct Handshakes {
  Result<io::PeerSecurity> client = fail(Errc::internal, "not run");
  Result<io::PeerSecurity> server = fail(Errc::internal, "not run");
};

Task<> shake(io::StreamPtr stream, Result<io::PeerSecurity>& outcome) {
  outcome = co_await stream->handshake();
  // Whoever gives up leaves, so that the other side does not wait for him.
  if (!outcome) stream->shutdown();
}

/// A connection from a client with `options` to a server with `files`.
Handshakes meet(TlsWorld& world, std::shared_ptr<io::TlsServer> server,
                std::shared_ptr<io::TlsClient> client) {
  Handshakes both_sides;
  TlsNet net(world.loop, world.plain(), std::move(server), std::move(client));
  const auto body = [&]() -> Task<> {
    auto listener = take(net.listen({"127.0.0.1", 0}));
    auto opened = take(co_await net.connect(listener->local(), 10s));
    auto accepted = take(co_await listener->accept());
    co_await both(world.loop, shake(opened, both_sides.client), shake(accepted, both_sides.server));
    if (!both_sides.client || !both_sides.server) co_return;
    // In TLS 1.3 a client is done before the server has judged it.
    std::vector<std::byte> one(1);
    take(co_await accepted->write(as_bytes("x")));
    take(co_await test::read_exact(*opened, one));
  };
  world.run(body());
  return both_sides;
}

std::shared_ptr<io::TlsClient> client_with(TlsWorld& world, const io::TlsClientOptions& options) {
  return take(io::TlsClient::load(world.disk(), options));
}

TEST_CASE("tls: who is at the other end") {
  TlsWorld world;
  auto options = world.pki.client_options();

  SECTION("a client with a certificate of the authority") {
    const auto met = meet(world, world.server, world.client);
    CHECK(take(met.server).certificate == Certificate::valid);
    CHECK(take(met.server).secured);
    CHECK(take(met.client).certificate == Certificate::valid);
  }
  SECTION("a client without a certificate") {
    options.files.cert = options.files.key = "";
    CHECK(take(meet(world, world.server, client_with(world, options)).server).certificate ==
          Certificate::none);
  }
  SECTION("a client of another authority is for the caller to judge") {
    const TestCertificate stranger({"Stranger"});
    options.files.cert = world.pki.put("stranger.pem", stranger.certificate_pem());
    options.files.key = world.pki.put("stranger.key", stranger.key_pem());
    const auto met = meet(world, world.server, client_with(world, options));
    CHECK(take(met.server).certificate == Certificate::invalid);
    CHECK_FALSE(take(met.server).problem.empty());
  }
  SECTION("a client whose time is over is for the caller to judge") {
    const TestCertificate old({"Old", "", false, -3600}, &world.pki.authority);
    options.files.cert = world.pki.put("old.pem", old.certificate_pem());
    options.files.key = world.pki.put("old.key", old.key_pem());
    const auto met = meet(world, world.server, client_with(world, options));
    CHECK(take(met.server).certificate == Certificate::invalid);
    CHECK(take(met.server).problem == "certificate has expired");
  }
  SECTION("a server without authorities asks for no certificate") {
    auto files = world.pki.server_files();
    files.cas.clear();
    const auto server = take(io::TlsServer::load(world.disk(), files));
    CHECK(take(meet(world, server, world.client).server).certificate == Certificate::none);
  }
}

TEST_CASE("tls: a client trusts only who proves the wanted name") {
  TlsWorld world;
  auto options = world.pki.client_options();
  const auto outcome = [&] { return meet(world, world.server, client_with(world, options)).client; };

  SECTION("a wildcard of the certificate") {
    options.server_name = "one.kraken.example";
    CHECK(outcome());
  }
  SECTION("without a name the address counts") {
    options.server_name = "";
    CHECK(outcome());
  }
  SECTION("another name") {
    options.server_name = "other";
    const auto failed = outcome();
    CHECK(code_of(failed) == Errc::protocol);
    CHECK_THAT(failed.error().message, Catch::Matchers::Contains("its certificate is not valid for other"));
  }
  SECTION("the common name does not count") {
    options.server_name = "not looked at";
    CHECK(code_of(outcome()) == Errc::protocol);
  }
  SECTION("an unknown authority") {
    const TestCertificate other({"Other Authority", "", true});
    options.files.cas = {world.pki.put("other.pem", other.certificate_pem())};
    CHECK(code_of(outcome()) == Errc::protocol);
  }
}

TEST_CASE("tls: sessions are resumed until the material changes") {
  TlsWorld world;
  auto listener = take(world.net().listen({"127.0.0.1", 0}));
  const auto address = listener->local();
  const auto met_again = [&] {
    bool resumed = false;
    const auto accepting = [&]() -> Task<> {
      auto accepted = take(co_await listener->accept());
      take(co_await accepted->handshake());
      take(co_await accepted->write(as_bytes("x")));
      std::vector<std::byte> rest(1);
      co_await accepted->read_some(rest);
    };
    const auto connecting = [&]() -> Task<> {
      auto plain = take(co_await world.plain().connect(address, 10s));
      auto stream = io::make_tls_stream(world.loop, plain, world.client, address.host);
      std::vector<std::byte> one(1);
      take(co_await test::read_exact(*stream, one));
      resumed = take(co_await stream->handshake()).resumed;
    };
    world.run(both(world.loop, accepting(), connecting()));
    return resumed;
  };
  CHECK_FALSE(met_again());
  CHECK(met_again());
  CHECK(met_again());
  take(world.server->reload(world.disk()));
  CHECK_FALSE(met_again());
  CHECK(met_again());
  take(world.client->reload(world.disk()));
  CHECK_FALSE(met_again());
}

TEST_CASE("tls: a changed certificate serves the connections after it") {
  TlsWorld world;
  const auto before = world.server->ends();
  const Pair old = connect_pair(world);
  const TestCertificate next({"next", "DNS:kraken", false, 30L * 24 * 3600}, &world.pki.authority);
  world.pki.put("server.pem", next.certificate_pem());

  SECTION("not while its key does not fit: the old one stays") {
    const auto failed = world.server->reload(world.disk());
    CHECK(code_of(failed) == Errc::invalid_argument);
    CHECK_THAT(failed.error().message, Catch::Matchers::Contains("does not belong to the certificate"));
    CHECK(world.server->ends() == before);
  }
  SECTION("with its key, and connections of before go on") {
    world.pki.put("server.key", next.key_pem());
    take(world.server->reload(world.disk()));
    CHECK(world.server->ends() > before + 24h);
  }
  connect_pair(world);
  const auto body = [&]() -> Task<> {
    std::vector<std::byte> one(1);
    take(co_await old.opened->write(as_bytes("x")));
    take(co_await test::read_exact(*old.accepted, one));
  };
  world.run(body());
}

TEST_CASE("tls: keys as the reference's tools write them, and others") {
  TlsWorld world;
  auto files = world.pki.server_files();
  const auto& server = world.pki.server;
  const auto loaded = [&] { return io::TlsServer::load(world.disk(), files); };

  SECTION("plain, with a passphrase file that is not needed") {
    files.key = world.pki.put("plain.key", server.key_pem());
    CHECK(loaded());
  }
  SECTION("PKCS #8, encrypted") {
    files.key = world.pki.put("pkcs8.key", server.pkcs8_key_pem("kraken"));
    CHECK(loaded());
  }
  SECTION("one passphrase a line") {
    files.passphrase = world.pki.put("several", "first\n\n  kraken  \nlast");
    CHECK(loaded());
  }
  SECTION("a wrong passphrase") {
    files.passphrase = world.pki.put("wrong", "octopus");
    CHECK(code_of(loaded()) == Errc::invalid_argument);
    CHECK_THAT(loaded().error().message, Catch::Matchers::Contains("wrong does not open it"));
  }
  SECTION("no passphrase for an encrypted key") {
    files.passphrase = "";
    CHECK_THAT(loaded().error().message,
               Catch::Matchers::Contains("is encrypted: name the file of its passphrase"));
  }
  SECTION("a file that is not there") {
    files.cert = "/nowhere/server.pem";
    CHECK(code_of(loaded()) == Errc::not_found);
    CHECK_THAT(loaded().error().message, Catch::Matchers::Contains("/nowhere/server.pem"));
  }
  SECTION("no certificate in the file of an authority") {
    files.cas.push_back(world.pki.path("server.key"));
    CHECK_THAT(loaded().error().message, Catch::Matchers::Contains("server.key: no certificate in PEM"));
  }
  SECTION("half of a certificate after a whole one") {
    files.cas = {world.pki.put("half.pem",
                               world.pki.authority.certificate_pem() + "-----BEGIN CERTIFICATE-----\nAB\n")};
    CHECK(code_of(loaded()) == Errc::invalid_argument);
  }
  SECTION("no certificate at all") {
    files.cert = files.key = "";
    CHECK_THAT(loaded().error().message, Catch::Matchers::Contains("name cert.path and key.path"));
  }
  SECTION("a certificate without key") {
    files.key = "";
    CHECK_THAT(loaded().error().message, Catch::Matchers::Contains("has no key"));
  }
}

TEST_CASE("tls: who speaks something else is told in the clear") {
  TlsWorld world;
  auto listener = take(world.net().listen({"127.0.0.1", 0}));
  const auto body = [&]() -> Task<> {
    auto opened = take(co_await world.plain().connect(listener->local(), 10s));
    auto accepted = take(co_await listener->accept());
    take(co_await opened->write(as_bytes("GET / HTTP/1.1\r\n")));
    const auto shaken = co_await accepted->handshake();
    CHECK(code_of(shaken) == Errc::protocol);
    TextSink sink;
    take(co_await accepted->receive(sink, 1000));
    CHECK(sink.text == "GET / HTTP/1.1\r\n");
    std::vector<std::byte> answer(4);
    take(co_await accepted->write(as_bytes("told")));
    take(co_await test::read_exact(*opened, answer));
    CHECK(as_text(answer) == "told");
    CHECK(accepted->bytes_sent() == 4);
  };
  world.run(body());
}

TEST_CASE("tls: garbage after a hello's first byte ends the handshake") {
  TlsWorld world;
  auto listener = take(world.net().listen({"127.0.0.1", 0}));
  const auto body = [&]() -> Task<> {
    auto opened = take(co_await world.plain().connect(listener->local(), 10s));
    auto accepted = take(co_await listener->accept());
    take(co_await opened->write(as_bytes("\x16nonsense that is no record of TLS")));
    CHECK(code_of(co_await accepted->handshake()) == Errc::protocol);
    CHECK(code_of(co_await accepted->write(as_bytes("x"))) == Errc::protocol);
  };
  world.run(body());
}

TEST_CASE("tls: an end without the last word is a lost connection to a client") {
  TlsWorld world;
  auto listener = take(world.plain().listen({"127.0.0.1", 0}));
  const auto body = [&]() -> Task<> {
    auto plain = take(co_await world.plain().connect(listener->local(), 10s));
    auto opened = io::make_tls_stream(world.loop, plain, world.client, "127.0.0.1");
    auto accepted = take(co_await listener->accept());
    const auto leaving = [&]() -> Task<> {
      std::vector<std::byte> hello(100);
      take(co_await accepted->read_some(hello));
      accepted->shutdown();
    };
    Result<io::PeerSecurity> outcome;
    co_await both(world.loop, shake(opened, outcome), leaving());
    CHECK(code_of(outcome) == Errc::network);
  };
  world.run(body());
}

}  // namespace
}  // namespace krakend::test
