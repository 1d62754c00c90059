#pragma once

#include "krakend/io/tls.h"
#include "support/test_pki.h"
#include "unit/io/support.h"

namespace krakend::test {

/// A Net all of whose connections are secured, at both ends.
class TlsNet final : public io::Net {
 public:
  TlsNet(io::Loop& loop, io::Net& plain, std::shared_ptr<io::TlsServer> server,
         std::shared_ptr<io::TlsClient> client)
      : loop_(loop), plain_(plain), server_(std::move(server)), client_(std::move(client)) {}

  Task<Result<io::StreamPtr>> connect(const io::Address& to, Duration timeout) override {
    return connect_to(to, timeout);
  }
  Result<std::unique_ptr<io::Listener>> listen(const io::Address& at) override {
    auto listener = plain_.listen(at);
    if (!listener) return propagate(listener);
    return io::make_tls_listener(loop_, std::move(*listener), server_);
  }
  Task<Result<std::vector<std::string>>> resolve(std::string host, Duration timeout) override {
    return plain_.resolve(std::move(host), timeout);
  }

 private:
  Task<Result<io::StreamPtr>> connect_to(io::Address to, Duration timeout) {
    auto stream = co_await plain_.connect(to, timeout);
    if (!stream) co_return stream;
    co_return io::make_tls_stream(loop_, *stream, client_, to.host);
  }

  io::Loop& loop_;
  io::Net& plain_;
  std::shared_ptr<io::TlsServer> server_;
  std::shared_ptr<io::TlsClient> client_;
};

/// Files of one authority, of a server "kraken" and of a client, in a directory of their own.
class TestPki {
 public:
  explicit TestPki(io::Disk& disk, const std::string& directory) : disk_(disk), directory_(directory) {
    put("ca.pem", authority.certificate_pem());
    put("server.pem", server.certificate_pem());
    put("server.key", server.key_pem("kraken"));
    put("client.pem", client.certificate_pem());
    put("client.key", client.key_pem());
    put("passphrase", " kraken\n");
  }
  /// Path of a file with this content.
  std::string put(const std::string& name, const std::string& content) {
    const std::string path = directory_ + "/" + name;
    take(io::write_file(disk_, path, content));
    return path;
  }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  io::TlsFiles server_files() const {
    return {path("server.pem"), path("server.key"), path("passphrase"), {path("ca.pem")}};
  }
  /// With a client certificate.
  io::TlsClientOptions client_options() const {
    return {{path("client.pem"), path("client.key"), "", {path("ca.pem")}}, "kraken"};
  }

  const TestCertificate authority{{"Test Authority", "", true}};
  const TestCertificate server{{"not looked at", "DNS:kraken,DNS:*.kraken.example,IP:127.0.0.1"}, &authority};
  const TestCertificate client{{"Test Client"}, &authority};

 private:
  io::Disk& disk_;
  std::string directory_;
};

/// The operating system's loop, clock and disk, and connections with TLS.
template <unsigned pool_threads>
struct TlsWorldOf : SystemWorld<pool_threads> {
  using Base = SystemWorld<pool_threads>;
  TempDir material;
  TestPki pki{*Base::disk_ptr, material.path()};
  std::shared_ptr<io::TlsServer> server = take(io::TlsServer::load(*Base::disk_ptr, pki.server_files()));
  std::shared_ptr<io::TlsClient> client = take(io::TlsClient::load(*Base::disk_ptr, pki.client_options()));
  TlsNet tls{Base::loop, *Base::net_ptr, server, client};

  io::Net& plain() { return *Base::net_ptr; }
  io::Net& net() { return tls; }
};

}  // namespace krakend::test
