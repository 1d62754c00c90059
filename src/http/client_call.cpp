#include "http/client_call.h"

#include <algorithm>
#include <array>
#include <vector>

#include "krakend/core/hex.h"

namespace krakend::http {
namespace {

constexpr size_t upload_step = 256 * KiB;
/// The library takes no timeout of zero.
constexpr Duration shortest_timeout = 1ms;
/// The loop cuts a call at its deadline; the library's own timeout only stands in should the loop be late.
constexpr Duration deadline_slack = 200ms;

template <class Setter>
void set_timeout(Setter setter, Duration value) {
  const auto us =
      std::chrono::duration_cast<std::chrono::microseconds>(std::max(value, shortest_timeout)).count();
  setter(static_cast<time_t>(us / 1'000'000), static_cast<time_t>(us % 1'000'000));
}

bool is_idempotent(std::string_view method) {
  constexpr std::array<std::string_view, 5> methods{"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};
  return std::find(methods.begin(), methods.end(), method) != methods.end();
}

std::string_view reason(httplib::Error error) {
  switch (error) {
    case httplib::Error::Connection:
      return "connection refused or host unreachable";
    case httplib::Error::Read:
      return "connection lost while waiting for the answer";
    case httplib::Error::Write:
      return "connection lost while sending";
    default:
      return "request failed";
  }
}

ClientResponse head_of(const httplib::Response& answer) {
  ClientResponse response;
  response.status = answer.status;
  for (const auto& [key, value] : answer.headers) response.headers.add(key, value);
  return response;
}

}  // namespace

ClientCall::ClientCall(const ClientRequest& request, const io::Clock& clock)
    : request_(request), clock_(clock), deadline_(clock.now() + request.total_timeout) {}

Result<ClientResponse> ClientCall::run(ClientConnectionPtr connection) {
  status_ = 0;
  text_.clear();
  failure_.reset();
  bodiless_.reset();
  outcome_ = httplib::Error::Success;
  progress_ = clock_.now();
  if (!attach(connection) || left() <= 0s) return fail(describe(httplib::Error::Canceled));
  auto& http = connection->http();
  configure(http);
  auto message = prepare();
  httplib::Response answer;
  const bool done = http.send(message, answer, outcome_);
  attach(nullptr);
  if (bodiless_) return std::move(*bodiless_);
  if (failure_) return fail(std::move(*failure_));
  if (!done) return fail(describe(outcome_, connection->tls_failure()));
  auto response = head_of(answer);
  response.body = std::move(text_);
  return response;
}

bool ClientCall::may_repeat() const {
  if (status_ != 0 || failure_ || why_cut() || left() <= 0s) return false;
  if (outcome_ == httplib::Error::Write) return true;
  return outcome_ == httplib::Error::Read && is_idempotent(request_.method);
}

void ClientCall::cut(Cut why) {
  const std::lock_guard lock(mutex_);
  if (!cut_) cut_ = why;
  if (connection_) connection_->cut();
}

/// False: the call has been cut.
bool ClientCall::attach(ClientConnectionPtr connection) {
  const std::lock_guard lock(mutex_);
  connection_ = std::move(connection);
  return !cut_;
}

std::optional<ClientCall::Cut> ClientCall::why_cut() const {
  const std::lock_guard lock(mutex_);
  return cut_;
}

std::string ClientCall::name() const {
  return fmt::format("{} {}{}", request_.method, request_.host.str(), request_.target);
}

void ClientCall::configure(httplib::ClientImpl& http) const {
  const auto most = std::max(left(), Duration{0}) + deadline_slack;
  const auto idle = std::min(request_.idle_timeout, most);
  set_timeout([&](time_t s, time_t us) { http.set_connection_timeout(s, us); },
              std::min(request_.connect_timeout, most));
  set_timeout([&](time_t s, time_t us) { http.set_read_timeout(s, us); }, idle);
  set_timeout([&](time_t s, time_t us) { http.set_write_timeout(s, us); }, idle);
}

httplib::Request ClientCall::prepare() {
  httplib::Request message;
  message.method = request_.method;
  message.path = request_.target;
  for (const auto& [key, value] : request_.headers.fields()) message.headers.emplace(key, value);
  if (const auto* body = std::get_if<std::string>(&request_.body)) {
    message.body = *body;
  } else if (const auto* range = std::get_if<FileRange>(&request_.body)) {
    message.content_length_ = static_cast<size_t>(range->length);
    message.content_provider_ = [this, range](size_t offset, size_t length, httplib::DataSink& sink) {
      return provide(*range, offset, length, sink);
    };
  }
  message.response_handler = [this](const httplib::Response& response) {
    status_ = response.status;
    progress_ = clock_.now();
    if (over()) return false;
    // The library would wait for the body that a 304 only describes. The connection is lost for it.
    if (status_ == 304) bodiless_ = head_of(response);
    return !bodiless_;
  };
  message.content_receiver = [this](const char* data, size_t size, uint64_t, uint64_t) {
    return take({reinterpret_cast<const std::byte*>(data), size});
  };
  return message;
}

/// A transfer whose time is up, or that nobody waits for, goes no further even when its bytes keep coming.
bool ClientCall::over() {
  if (left() > 0s && !why_cut()) return false;
  failure_ = describe(httplib::Error::Canceled);
  return true;
}

bool ClientCall::provide(const FileRange& range, size_t offset, size_t length, httplib::DataSink& sink) {
  if (over()) return false;
  std::vector<std::byte> buffer(std::min(length, upload_step));
  auto got = range.file->read_at(range.offset + offset, buffer);
  if (!got || *got == 0) {
    failure_ = got ? Error{Errc::io, name() + ": the file to send is shorter than announced"} : got.error();
    return false;
  }
  progress_ = clock_.now();
  return sink.write(reinterpret_cast<const char*>(buffer.data()), *got);
}

bool ClientCall::take(std::span<const std::byte> data) {
  if (over()) return false;
  progress_ = clock_.now();
  if (request_.sink != nullptr && (status_ == 200 || status_ == 206)) {
    auto written = request_.sink->write(data);
    if (!written) failure_ = written.error();
    return written.has_value();
  }
  if (text_.size() + data.size() > request_.max_text) {
    failure_ = Error{Errc::too_large, fmt::format("{}: answer exceeds {} bytes", name(), request_.max_text)};
    return false;
  }
  text_ += as_text(data);
  return true;
}

Error ClientCall::describe(httplib::Error error, const std::optional<Error>& tls) const {
  const auto cut = why_cut();
  if (cut == Cut::cancelled) return {Errc::cancelled, name() + ": given up"};
  if (cut == Cut::late || left() <= 0s) {
    return {Errc::timeout,
            fmt::format("{}: not done within {} s", name(), to_seconds(request_.total_timeout))};
  }
  if (tls && tls->code == Errc::protocol) return {Errc::protocol, name() + ": " + tls->message};
  if (error == httplib::Error::ConnectionTimeout) {
    return {Errc::timeout,
            fmt::format("{}: no connection within {} s", name(), to_seconds(request_.connect_timeout))};
  }
  // The library tells a silent peer from a lost connection by nothing but the time it took.
  const bool silent = error == httplib::Error::Read || error == httplib::Error::Write;
  if (silent && clock_.now() - progress_ >= request_.idle_timeout) {
    return {Errc::timeout, fmt::format("{}: silent for {} s", name(), to_seconds(request_.idle_timeout))};
  }
  return {Errc::network, fmt::format("{}: {}", name(), reason(error))};
}

}  // namespace krakend::http
