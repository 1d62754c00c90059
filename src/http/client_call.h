#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "http/client_connection.h"
#include "krakend/http/client.h"
#include "krakend/io/clock.h"

namespace krakend::http {

/// One call: made on the loop thread, carried out on a worker thread, perhaps cut by the loop thread
/// meanwhile. The clock runs from its construction, so waiting for a worker counts.
class ClientCall {
 public:
  enum class Cut { late, cancelled };

  /// `request` must outlive the call.
  ClientCall(const ClientRequest& request, const io::Clock& clock);

  /// Sends the request over `connection` and takes the answer. Worker thread.
  Result<ClientResponse> run(ClientConnectionPtr connection);
  /// After a failed run() over a connection that had been idle: may the request be sent again? Only when
  /// nothing of an answer has come and the server cannot have acted on it, or acting twice does no harm.
  bool may_repeat() const;
  /// Ends the call soon, with `timeout` or `cancelled`. Any thread.
  void cut(Cut why);

 private:
  std::string name() const;
  Duration left() const { return deadline_ - clock_.now(); }
  bool attach(ClientConnectionPtr connection);
  std::optional<Cut> why_cut() const;
  void configure(httplib::ClientImpl& http) const;
  httplib::Request prepare();
  bool over();
  bool provide(const FileRange& range, size_t offset, size_t length, httplib::DataSink& sink);
  bool take(std::span<const std::byte> data);
  Error describe(httplib::Error error, const std::optional<Error>& tls = std::nullopt) const;

  const ClientRequest& request_;
  const io::Clock& clock_;
  const TimePoint deadline_;

  mutable std::mutex mutex_;
  ClientConnectionPtr connection_;  // guarded: who is to be cut
  std::optional<Cut> cut_;          // guarded

  // Worker thread, of the current run.
  TimePoint progress_;  ///< when something last moved
  int status_ = 0;
  std::string text_;
  std::optional<Error> failure_;
  std::optional<ClientResponse> bodiless_;  ///< the answer, when its head is all there is
  httplib::Error outcome_ = httplib::Error::Success;
};

}  // namespace krakend::http
