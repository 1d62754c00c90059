#include "krakend/http/client.h"

#include <algorithm>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>
#include <functional>

#include "http/client_call.h"
#include "http/client_pool.h"
#include "http/field.h"
#include "krakend/core/counted.h"
#include "krakend/core/trace.h"
#include "krakend/io/workers.h"

namespace krakend::http {
namespace {

/// What would make another request of it on the wire.
Result<void> check(const ClientRequest& request) {
  const bool target_ok = request.target.starts_with('/') &&
                         std::none_of(request.target.begin(), request.target.end(),
                                      [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '#'; });
  if (!is_token(request.method) || !target_ok) {
    return fail(Errc::invalid_argument, "\"{} {}\" cannot be sent: not a method and an escaped path",
                request.method, request.target);
  }
  for (const auto& [name, value] : request.headers.fields()) {
    if (!is_token(name) || !is_field_value(value)) {
      return fail(Errc::invalid_argument, "{} {}: header \"{}\" cannot be sent", request.method,
                  request.target, name);
    }
  }
  return {};
}

class HttplibClient final : public Client {
 public:
  HttplibClient(io::Clock& clock, ClientOptions options)
      : clock_(clock),
        tls_(std::move(options.tls)),
        pool_(options.max_idle_per_host),
        max_calls_(options.max_calls),
        workers_(options.max_threads) {}

  Task<Result<ClientResponse>> send(ClientRequest request) override {
    if (auto checked = check(request); !checked) co_return propagate(checked);
    if (calls_ >= max_calls_)
      co_return fail(Errc::unavailable, "{} {}: {} calls wait already", request.method, request.target,
                     calls_);
    const Counted open(calls_);
    if (const TracePtr& trace = current_trace()) {
      request.headers.set("traceparent", trace->traceparent());
      if (!trace->state.empty()) request.headers.set("tracestate", trace->state);
    }
    ClientCall call(request, clock_);
    const auto timer = clock_.after(request.total_timeout, [&call] { call.cut(ClientCall::Cut::late); });
    Result<ClientResponse> response = fail(Errc::internal, "not run");
    co_await run(call, request, response);
    schedule_sweep();
    co_return response;
  }

 private:
  /// Carries the call out on a worker. A stopped task cuts the connection and still waits: the worker uses
  /// what the awaiting frame owns.
  Task<> run(ClientCall& call, const ClientRequest& request, Result<ClientResponse>& response) {
    const auto initiate = [this, &call, &request, &response](auto handler) {
      auto slot = asio::get_associated_cancellation_slot(handler);
      if (slot.is_connected()) {
        slot.assign([&call](asio::cancellation_type) { call.cut(ClientCall::Cut::cancelled); });
      }
      const auto shared = std::make_shared<decltype(handler)>(std::move(handler));
      workers_.submit([this, &call, &request, &response, shared] {
        response = perform(call, request);
        asio::post(asio::get_associated_executor(*shared), [shared] { std::move (*shared)(); });
      });
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(initiate, asio::use_awaitable);
  }

  /// Worker thread.
  Result<ClientResponse> perform(ClientCall& call, const ClientRequest& request) {
    ClientConnectionPtr connection;
    do {
      connection = pool_.take(request.host, clock_.now());
    } while (connection && !connection->quiet());
    const bool pooled = connection != nullptr;
    if (!pooled) connection = std::make_shared<ClientConnection>(request.host, tls_);
    auto response = call.run(connection);
    if (!response && pooled && call.may_repeat()) {
      // The server may have closed the idle connection just when it was taken: once more on a new one.
      connection = std::make_shared<ClientConnection>(request.host, tls_);
      response = call.run(connection);
    }
    if (response) pool_.give(request.host, std::move(connection), clock_.now());
    return response;
  }

  /// Idle connections are closed in time even when no call follows.
  void schedule_sweep() {
    if (std::exchange(sweep_scheduled_, true)) return;
    sweep_timer_ = clock_.after(ClientPool::max_idle_age, [this] {
      sweep_scheduled_ = false;
      if (pool_.sweep(clock_.now())) schedule_sweep();
    });
  }

  io::Clock& clock_;
  std::shared_ptr<io::TlsClient> tls_;
  ClientPool pool_;
  const unsigned max_calls_;
  unsigned calls_ = 0;
  bool sweep_scheduled_ = false;
  io::Timer sweep_timer_;
  io::Workers workers_;  // last: its threads use the rest
};

}  // namespace

std::unique_ptr<Client> make_client(io::Loop& /*loop*/, io::Clock& clock, ClientOptions options) {
  return std::make_unique<HttplibClient>(clock, std::move(options));
}

Error status_error(const ClientRequest& request, const ClientResponse& response) {
  const auto line = response.body.substr(0, std::min<size_t>(response.body.find('\n'), 200));
  return Error{Errc::internal,
               fmt::format("{} {}{}: {}{}{}", request.method, request.host.str(), request.target,
                           response.status, line.empty() ? "" : ": ", line),
               response.status};
}

}  // namespace krakend::http
