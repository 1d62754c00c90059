#pragma once

#include <memory>
#include <utility>

#include "daemon/plan.h"
#include "krakend/http/server.h"

namespace krakend::daemon {

/// The HTTP server of one role: listeners count under the role, write its access log, and do what nginx did
/// before it. Each role has one of its own, so that those that others in the process need can stop last.
class RoleServer final : public http::Server {
 public:
  RoleServer(std::unique_ptr<http::Server> server, Metrics metrics, http::AccessLog access_log,
             EdgeOptions edge, Logger log)
      : server_(std::move(server)),
        metrics_(std::move(metrics)),
        access_log_(std::move(access_log)),
        edge_(std::move(edge)),
        log_(std::move(log)) {}

  Result<io::Address> listen(http::ListenOptions options, http::Router router) override {
    options.metrics = metrics_;
    options.access_log = access_log_;
    if (!options.fronted) return server_->listen(std::move(options), std::move(router));
    options.answer_timeouts = edge_.answer_timeouts;
    if (auto opened = listen_inside(options, router); !opened) return propagate(opened);
    return server_->listen(std::move(options), std::move(router));
  }
  void configure(std::function<void(http::ListenOptions&)> change) override {
    server_->configure(std::move(change));
  }
  void overload(bool now) override { server_->overload(now); }
  Task<> stop(Duration grace) override { return server_->stop(grace); }

 private:
  /// Once, with the first port. What nginx looked at is not looked at here.
  Result<void> listen_inside(const http::ListenOptions& port, const http::Router& router) {
    for (const EdgeOptions::Inner& inner : std::exchange(edge_.inner, {})) {
      http::ListenOptions options = port;
      options.address = inner.address;
      options.tls = nullptr;
      options.allowed.reset();
      options.rates.clear();
      auto bound = server_->listen(std::move(options), router);
      if (!bound)
        return fail(bound.error().code, "{}: {}; choose another {}.addr, or leave {}.net out", inner.key,
                    bound.error().message, inner.key, inner.key);
      log_.info("{} {}", inner.key, bound->str());
    }
    return {};
  }

  const std::unique_ptr<http::Server> server_;
  const Metrics metrics_;
  const http::AccessLog access_log_;
  EdgeOptions edge_;
  const Logger log_;
};

}  // namespace krakend::daemon
