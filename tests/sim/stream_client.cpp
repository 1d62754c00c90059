#include "sim/stream_client.h"

#include <algorithm>
#include <array>
#include <asio/experimental/awaitable_operators.hpp>
#include <charconv>
#include <utility>

#include "krakend/core/hex.h"

namespace krakend::sim {
namespace {

constexpr std::string_view head_end = "\r\n\r\n";
constexpr size_t max_head = 256 * KiB;

bool token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c > ' ' && c < 0x7f &&
           std::string_view("()<>@,;:\\\"/[]?={}").find(static_cast<char>(c)) == std::string_view::npos;
  });
}

Result<void> check(const http::ClientRequest& request) {
  const auto bad = [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '#'; };
  const std::string& target = request.target;
  if (!token(request.method) || !target.starts_with('/') || std::any_of(target.begin(), target.end(), bad)) {
    return fail(Errc::invalid_argument, "\"{} {}\" cannot be sent: not a method and an escaped path",
                request.method, target);
  }
  for (const auto& [name, value] : request.headers.fields()) {
    const bool good = std::none_of(value.begin(), value.end(),
                                   [](unsigned char c) { return (c < ' ' && c != '\t') || c == 0x7f; });
    if (!token(name) || !good)
      return fail(Errc::invalid_argument, "{} {}: header \"{}\" cannot be sent", request.method, target,
                  name);
  }
  return {};
}

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

/// One request and its answer over one connection.
class StreamClient::Call {
 public:
  Call(const http::ClientRequest& request, io::Clock& clock, TimePoint deadline)
      : request_(request),
        clock_(clock),
        deadline_(deadline),
        progress_(clock.now()),
        text_(request.max_text) {}

  Task<Result<http::ClientResponse>> run(io::StreamPtr stream) {
    stream_ = std::move(stream);
    watch();
    auto response = co_await exchange();
    timer_.cancel();
    if (!response && late_) co_return fail(late_error());
    co_return response;
  }
  bool reusable() const { return reusable_; }
  /// Nothing of an answer has come, and sending the request again does no harm.
  bool may_repeat() const {
    return !answered_ && !late_ && request_.method != "POST" && request_.method != "PATCH";
  }
  Error late_error() const {
    const bool total = clock_.now() >= deadline_;
    return {Errc::timeout,
            total ? fmt::format("{}: not done within {} s", name(), to_seconds(request_.total_timeout))
                  : fmt::format("{}: silent for {} s", name(), to_seconds(request_.idle_timeout))};
  }
  std::string name() const {
    return fmt::format("{} {}{}", request_.method, request_.host.str(), request_.target);
  }

 private:
  /// Cuts the connection at the deadline, or when nothing has moved for the idle time.
  void watch() {
    const uint64_t moved = stream_->bytes_received() + stream_->bytes_sent();
    if (std::exchange(seen_, moved) != moved) progress_ = clock_.now();
    const TimePoint end = std::min(deadline_, progress_ + request_.idle_timeout);
    if (clock_.now() >= end) {
      late_ = true;
      stream_->shutdown();
      return;
    }
    timer_ = clock_.after(end - clock_.now(), [this] { watch(); });
  }

  std::string head() const {
    std::string text = fmt::format("{} {} HTTP/1.1\r\n", request_.method, request_.target);
    if (!request_.headers.has("Host")) text += fmt::format("Host: {}\r\n", request_.host.str());
    for (const auto& [name, value] : request_.headers.fields())
      text += fmt::format("{}: {}\r\n", name, value);
    const auto* body = std::get_if<std::string>(&request_.body);
    const auto* range = std::get_if<http::FileRange>(&request_.body);
    const bool has_length = request_.headers.has("Content-Length");
    const bool sends = request_.method == "POST" || request_.method == "PUT" || request_.method == "PATCH";
    if (!has_length && (body != nullptr || range != nullptr || sends)) {
      const uint64_t length = body != nullptr ? body->size() : range != nullptr ? range->length : 0;
      text += fmt::format("Content-Length: {}\r\n", length);
    }
    return text + "\r\n";
  }

  Task<Result<http::ClientResponse>> exchange() {
    auto sent = co_await stream_->write(as_bytes(head()));
    if (const auto* body = std::get_if<std::string>(&request_.body); sent && body != nullptr)
      sent = co_await stream_->write(as_bytes(*body));
    if (const auto* range = std::get_if<http::FileRange>(&request_.body); sent && range != nullptr)
      sent = co_await stream_->send_file(range->file, range->offset, range->length);
    // A file that cannot be read is ours; otherwise the server may have said why it listens no more.
    if (!sent && sent.error().code == Errc::io) co_return propagate(sent);
    auto response = co_await read_head();
    if (!response) co_return fail(Errc::network, "{}: connection lost while waiting for the answer", name());
    auto taken = co_await read_body(*response);
    if (!taken) co_return propagate(taken);
    if (!sent) reusable_ = false;
    response->body = std::move(text_.text);
    co_return response;
  }

  Task<Result<void>> more() {
    std::array<std::byte, 16 * KiB> part;
    auto got = co_await stream_->read_some(part);
    if (!got) co_return propagate(got);
    if (*got == 0) co_return fail(Errc::network, "{}: connection lost while waiting for the answer", name());
    answered_ = true;
    buffer_ += as_text(std::span(part).first(*got));
    co_return Result<void>{};
  }

  Task<Result<http::ClientResponse>> read_head() {
    while (true) {
      size_t end = 0;
      while ((end = buffer_.find(head_end)) == std::string::npos) {
        if (buffer_.size() > max_head)
          co_return fail(Errc::protocol, "{}: the answer's head is too long", name());
        auto got = co_await more();
        if (!got) co_return propagate(got);
      }
      auto response = parse(std::string_view(buffer_).substr(0, end + 2));
      buffer_.erase(0, end + head_end.size());
      constexpr int informational = 200;
      if (!response || response->status >= informational) co_return response;
    }
  }

  Result<http::ClientResponse> parse(std::string_view head) const {
    http::ClientResponse response;
    constexpr size_t code_at = 9;
    if (!head.starts_with("HTTP/1.") || head.size() < code_at + 3)
      return fail(Errc::network, "{}: not an HTTP answer", name());
    std::from_chars(head.data() + code_at, head.data() + code_at + 3, response.status);
    for (size_t at = head.find("\r\n") + 2; at < head.size();) {
      const size_t stop = head.find("\r\n", at);
      const std::string_view line = head.substr(at, stop - at);
      const size_t colon = line.find(':');
      if (colon != std::string_view::npos) {
        const size_t value = line.find_first_not_of(" \t", colon + 1);
        response.headers.add(std::string(line.substr(0, colon)),
                             std::string(value == std::string_view::npos ? "" : line.substr(value)));
      }
      at = stop + 2;
    }
    return response;
  }

  io::ByteSink& sink(const http::ClientResponse& response) {
    const bool wanted = request_.sink != nullptr && (response.status == 200 || response.status == 206);
    return wanted ? *request_.sink : text_;
  }

  Task<Result<void>> read_body(const http::ClientResponse& response) {
    const bool none = request_.method == "HEAD" || response.status == 204 || response.status == 304;
    reusable_ = !same(response.headers.get("Connection"), "close");
    if (none) co_return Result<void>{};
    if (same(response.headers.get("Transfer-Encoding"), "chunked"))
      co_return co_await read_chunks(sink(response));
    if (response.headers.has("Content-Length")) {
      uint64_t length = 0;
      const auto text = response.headers.get("Content-Length");
      std::from_chars(text.data(), text.data() + text.size(), length);
      co_return co_await read_sized(sink(response), length);
    }
    reusable_ = false;
    while (true) {
      auto got = co_await step(sink(response), ~uint64_t{0});
      if (!got) co_return propagate(got);
      if (*got == 0) co_return Result<void>{};
    }
  }

  /// Some bytes from the buffer or the connection; 0 at its end.
  Task<Result<uint64_t>> step(io::ByteSink& sink, uint64_t max) {
    if (buffer_.empty()) co_return co_await stream_->receive(sink, max);
    const std::string part = buffer_.substr(0, static_cast<size_t>(std::min<uint64_t>(buffer_.size(), max)));
    buffer_.erase(0, part.size());
    auto written = sink.write(as_bytes(part));
    if (!written) co_return propagate(written);
    co_return part.size();
  }

  Task<Result<void>> read_sized(io::ByteSink& sink, uint64_t left) {
    while (left > 0) {
      auto got = co_await step(sink, left);
      if (!got) co_return propagate(got);
      if (*got == 0) co_return fail(Errc::network, "{}: connection lost in the middle of the answer", name());
      left -= *got;
    }
    co_return Result<void>{};
  }

  Task<Result<std::string>> read_line() {
    size_t end = 0;
    while ((end = buffer_.find("\r\n")) == std::string::npos) {
      auto got = co_await more();
      if (!got) co_return propagate(got);
    }
    std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 2);
    co_return line;
  }

  Task<Result<void>> read_chunks(io::ByteSink& sink) {
    while (true) {
      auto line = co_await read_line();
      if (!line) co_return propagate(line);
      uint64_t size = 0;
      std::from_chars(line->data(), line->data() + line->size(), size, 16);
      if (size == 0) break;
      auto taken = co_await read_sized(sink, size);
      if (!taken) co_return taken;
      auto end = co_await read_line();
      if (!end) co_return propagate(end);
    }
    while (true) {
      auto trailer = co_await read_line();
      if (!trailer) co_return propagate(trailer);
      if (trailer->empty()) co_return Result<void>{};
    }
  }

  const http::ClientRequest& request_;
  io::Clock& clock_;
  const TimePoint deadline_;
  TimePoint progress_;
  io::TextSink text_;
  io::StreamPtr stream_;
  io::Timer timer_;
  uint64_t seen_ = 0;
  bool answered_ = false;  ///< a part of an answer has come
  bool late_ = false;
  bool reusable_ = false;
  std::string buffer_;
};

io::StreamPtr StreamClient::take_idle(const std::string& host) {
  auto& idle = idle_[host];
  while (!idle.empty() && clock_.now() - idle.front().since > max_idle_age) idle.pop_front();
  if (idle.empty()) return nullptr;
  auto stream = std::move(idle.back().stream);
  idle.pop_back();
  return stream;
}

void StreamClient::give_back(const std::string& host, io::StreamPtr stream) {
  auto& idle = idle_[host];
  if (idle.size() < options_.max_idle_per_host) idle.push_back({std::move(stream), clock_.now()});
}

/// The server has not closed an idle connection meanwhile, as far as is known here.
Task<bool> StreamClient::still_open(io::StreamPtr stream) {
  using asio::experimental::awaitable_operators::operator||;
  std::array<std::byte, 1> byte;
  auto first = co_await (stream->read_some(byte) || clock_.sleep(0s));
  co_return first.index() == 1;
}

Task<Result<http::ClientResponse>> StreamClient::send(http::ClientRequest request) {
  if (auto good = check(request); !good) co_return propagate(good);
  const TimePoint deadline = clock_.now() + request.total_timeout;
  struct Place {
    StreamClient& client;
    explicit Place(StreamClient& c) : client(c) { ++client.running_; }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
      --client.running_;
      client.freed_.notify_all();
    }
  };
  while (running_ >= options_.max_threads) {
    const bool told = co_await freed_.wait_for(clock_, deadline - clock_.now());
    if (!told && clock_.now() >= deadline) co_return fail(Call(request, clock_, deadline).late_error());
  }
  const Place place(*this);
  const std::string host = request.host.str();
  auto stream = take_idle(host);
  while (stream) {
    const bool open = co_await still_open(stream);
    if (open) break;
    stream = take_idle(host);
  }
  bool pooled = stream != nullptr;
  while (true) {
    if (!stream) {
      const Duration patience = std::min(request.connect_timeout, deadline - clock_.now());
      auto made = co_await net_.connect(request.host, patience);
      if (!made)
        co_return fail(made.error().code, "{} {}{}: {}", request.method, host, request.target,
                       made.error().message);
      stream = *made;
    }
    Call call(request, clock_, deadline);
    auto response = co_await call.run(stream);
    if (response && call.reusable()) give_back(host, stream);
    if (response || !pooled || !call.may_repeat()) co_return response;
    // The server may have closed the idle connection just when it was taken: once more on a new one.
    pooled = false;
    stream.reset();
  }
}

}  // namespace krakend::sim
