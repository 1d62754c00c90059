#include "krakend/http/client.h"

#include <httplib.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "krakend/core/hex.h"
#include "krakend/io/workers.h"

namespace krakend::http {
namespace {

constexpr size_t upload_step = 256 * KiB;
/// Hosts whose idle connections are kept; one more throws all idle ones away.
constexpr size_t max_pooled_hosts = 1024;
/// An idle connection older than this is not used again: servers close theirs after 75 s or so.
constexpr Duration max_idle_age = 45s;

using ConnectionPtr = std::unique_ptr<httplib::Client>;

/// Idle connections by "host:port". Any thread.
class ConnectionPool {
 public:
  explicit ConnectionPool(size_t max_idle_per_host) : max_idle_per_host_(max_idle_per_host) {}

  ConnectionPtr take(const io::Address& host, TimePoint now) {
    const std::lock_guard lock(mutex_);
    auto& idle = idle_[host.str()];
    std::erase_if(idle, [now](const Idle& item) { return now - item.since > max_idle_age; });
    if (idle.empty()) return nullptr;
    auto connection = std::move(idle.back().connection);
    idle.pop_back();
    return connection;
  }

  void give(const io::Address& host, ConnectionPtr connection, TimePoint now) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() > max_pooled_hosts) idle_.clear();
    auto& idle = idle_[host.str()];
    if (idle.size() < max_idle_per_host_) idle.push_back({std::move(connection), now});
  }

 private:
  struct Idle {
    ConnectionPtr connection;
    TimePoint since;
  };
  const size_t max_idle_per_host_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::vector<Idle>> idle_;
};

template <class Setter>
void set_timeout(Setter setter, Duration value) {
  const auto us =
      std::max<int64_t>(std::chrono::duration_cast<std::chrono::microseconds>(value).count(), 1000);
  setter(static_cast<time_t>(us / 1'000'000), static_cast<time_t>(us % 1'000'000));
}

/// One call on one connection. Lives on a worker thread.
class Call {
 public:
  Call(const ClientRequest& request, const io::Clock& clock)
      : request_(request), clock_(clock), deadline_(clock.now() + request.total_timeout) {}

  Result<ClientResponse> run(httplib::Client& connection) {
    configure(connection);
    auto message = prepare();
    httplib::Response answer;
    auto error = httplib::Error::Success;
    const bool sent = connection.send(message, answer, error);
    if (failure_) return fail(std::move(*failure_));
    if (!sent) return fail(describe(error));
    ClientResponse response;
    response.status = answer.status;
    for (const auto& [name, value] : answer.headers) response.headers.add(name, value);
    response.body = std::move(text_);
    return response;
  }

  /// Whether anything of an answer has been seen: then the call must not be repeated.
  bool answered() const { return status_ != 0; }

 private:
  std::string name() const {
    return fmt::format("{} {}{}", request_.method, request_.host.str(), request_.target);
  }
  Duration left() const { return deadline_ - clock_.now(); }

  void configure(httplib::Client& connection) const {
    const auto idle = std::min(request_.idle_timeout, left());
    set_timeout([&](time_t s, time_t us) { connection.set_connection_timeout(s, us); },
                std::min(request_.connect_timeout, left()));
    set_timeout([&](time_t s, time_t us) { connection.set_read_timeout(s, us); }, idle);
    set_timeout([&](time_t s, time_t us) { connection.set_write_timeout(s, us); }, idle);
  }

  httplib::Request prepare() {
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
      return true;
    };
    message.content_receiver = [this](const char* data, size_t size, uint64_t, uint64_t) {
      return take({reinterpret_cast<const std::byte*>(data), size});
    };
    return message;
  }

  bool late() {
    if (left() > 0s) return false;
    failure_ = Error{Errc::timeout,
                     fmt::format("{}: not done within {:.0f} s", name(), to_seconds(request_.total_timeout))};
    return true;
  }

  bool provide(const FileRange& range, size_t offset, size_t length, httplib::DataSink& sink) {
    if (late()) return false;
    std::vector<std::byte> buffer(std::min(length, upload_step));
    auto got = range.file->read_at(range.offset + offset, buffer);
    if (!got || *got == 0) {
      failure_ = got ? Error{Errc::io, name() + ": the file to send is shorter than announced"} : got.error();
      return false;
    }
    return sink.write(reinterpret_cast<const char*>(buffer.data()), *got);
  }

  bool take(std::span<const std::byte> data) {
    if (late()) return false;
    if (request_.sink != nullptr && (status_ == 200 || status_ == 206)) {
      auto written = request_.sink->write(data);
      if (!written) failure_ = written.error();
      return written.has_value();
    }
    if (text_.size() + data.size() > request_.max_text) {
      failure_ =
          Error{Errc::too_large, fmt::format("{}: answer exceeds {} bytes", name(), request_.max_text)};
      return false;
    }
    text_ += as_text(data);
    return true;
  }

  Error describe(httplib::Error error) const {
    const bool timed_out = left() <= 0s || error == httplib::Error::ConnectionTimeout;
    return Error{timed_out ? Errc::timeout : Errc::network,
                 fmt::format("{}: {}", name(), timed_out ? "timed out" : reason(error))};
  }

  static std::string_view reason(httplib::Error error) {
    switch (error) {
      case httplib::Error::Connection:
        return "connection refused or host unreachable";
      case httplib::Error::Read:
        return "connection lost or silent while waiting for the answer";
      case httplib::Error::Write:
        return "connection lost while sending";
      case httplib::Error::Canceled:
        return "canceled";
      default:
        return "request failed";
    }
  }

  const ClientRequest& request_;
  const io::Clock& clock_;
  TimePoint deadline_;
  int status_ = 0;
  std::string text_;
  std::optional<Error> failure_;
};

class HttplibClient final : public Client {
 public:
  HttplibClient(io::Loop& loop, io::Clock& clock, ClientOptions options)
      : loop_(loop), clock_(clock), pool_(options.max_idle_per_host), workers_(options.max_threads) {}

  Task<Result<ClientResponse>> send(ClientRequest request) override {
    co_return co_await loop_.offload_to(workers_, [this, &request] { return perform(request); });
  }

 private:
  Result<ClientResponse> perform(const ClientRequest& request) {
    Call first(request, clock_);
    auto connection = pool_.take(request.host, clock_.now());
    const bool pooled = connection != nullptr;
    if (!pooled) connection = connect(request.host);
    auto response = first.run(*connection);
    if (!response && pooled && !first.answered() && response.error().code == Errc::network) {
      // The server may have closed the idle connection just when it was taken: once more on a new one.
      connection = connect(request.host);
      Call second(request, clock_);
      response = second.run(*connection);
    }
    if (response) pool_.give(request.host, std::move(connection), clock_.now());
    return response;
  }

  static ConnectionPtr connect(const io::Address& host) {
    auto connection = std::make_unique<httplib::Client>(host.host, host.port);
    connection->set_keep_alive(true);
    connection->set_tcp_nodelay(true);
    connection->set_url_encode(false);  // targets come escaped, some of them twice
    connection->set_decompress(false);
    connection->set_follow_location(false);
    return connection;
  }

  io::Loop& loop_;
  io::Clock& clock_;
  ConnectionPool pool_;
  io::Workers workers_;  // last: its threads use the rest
};

}  // namespace

std::unique_ptr<Client> make_client(io::Loop& loop, io::Clock& clock, ClientOptions options) {
  return std::make_unique<HttplibClient>(loop, clock, options);
}

Error status_error(const ClientRequest& request, const ClientResponse& response) {
  const auto line = response.body.substr(0, std::min<size_t>(response.body.find('\n'), 200));
  return Error{Errc::internal,
               fmt::format("{} {}{}: {}{}{}", request.method, request.host.str(), request.target,
                           response.status, line.empty() ? "" : ": ", line),
               response.status};
}

}  // namespace krakend::http
