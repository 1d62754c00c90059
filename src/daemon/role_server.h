#pragma once

#include <memory>
#include <utility>

#include "krakend/http/server.h"

namespace krakend::daemon {

/// The HTTP server of one role: listeners count under the role and write its access log. Each role has one of
/// its own, so that those that others in the process need can stop last.
class RoleServer final : public http::Server {
 public:
  RoleServer(std::unique_ptr<http::Server> server, Metrics metrics, http::AccessLog access_log)
      : server_(std::move(server)), metrics_(std::move(metrics)), access_log_(std::move(access_log)) {}

  Result<io::Address> listen(http::ListenOptions options, http::Router router) override {
    options.metrics = metrics_;
    options.access_log = access_log_;
    return server_->listen(std::move(options), std::move(router));
  }
  void configure(std::function<void(http::ListenOptions&)> change) override {
    server_->configure(std::move(change));
  }
  void overload(bool now) override { server_->overload(now); }
  Task<> stop(Duration grace) override { return server_->stop(grace); }

 private:
  const std::unique_ptr<http::Server> server_;
  const Metrics metrics_;
  const http::AccessLog access_log_;
};

}  // namespace krakend::daemon
