#pragma once

#include <memory>
#include <utility>

#include "stage.h"
#include "unit/io/tls_world.h"

namespace krakend::http::test {

/// Material in the directory of a stage, and what is read from it.
struct TlsMaterial {
  explicit TlsMaterial(Stage& stage) : disk(*stage.disk), pki(disk, stage.directory.path()) {}
  std::shared_ptr<io::TlsServer> server() {
    return krakend::test::take(io::TlsServer::load(disk, pki.server_files()));
  }
  std::shared_ptr<io::TlsClient> client() {
    return krakend::test::take(io::TlsClient::load(disk, pki.client_options()));
  }
  /// Without a certificate of its own.
  std::shared_ptr<io::TlsClient> anonymous() {
    auto options = pki.client_options();
    options.files.cert = options.files.key = "";
    return krakend::test::take(io::TlsClient::load(disk, options));
  }

  io::Disk& disk;
  krakend::test::TestPki pki;
};

/// The stage's connections from now on are secured, at both ends.
class SecuredNet final : public io::Net {
 public:
  SecuredNet(Stage& stage, std::unique_ptr<io::Net> plain, TlsMaterial& material)
      : plain_(std::move(plain)), secured_(stage.loop, *plain_, material.server(), material.client()) {}
  Task<Result<io::StreamPtr>> connect(const io::Address& to, Duration timeout) override {
    return secured_.connect(to, timeout);
  }
  Result<std::unique_ptr<io::Listener>> listen(const io::Address& at) override { return secured_.listen(at); }
  Task<Result<std::vector<std::string>>> resolve(std::string host, Duration timeout) override {
    return plain_->resolve(std::move(host), timeout);
  }

 private:
  std::unique_ptr<io::Net> plain_;
  krakend::test::TlsNet secured_;
};

inline void secure(Stage& stage, TlsMaterial& material) {
  stage.net = std::make_unique<SecuredNet>(stage, std::move(stage.net), material);
}

}  // namespace krakend::http::test
