#include "http/connection.h"

#include <algorithm>
#include <array>
#include <exception>

#include "http/request_body.h"
#include "krakend/core/hex.h"

namespace krakend::http {
namespace {

constexpr std::string_view head_end = "\r\n\r\n";
constexpr char tls_handshake = 0x16;
/// A body of at most this size travels in one write with its head.
constexpr size_t joined_body_max = 64 * KiB;

std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Request Entity Too Large";
    case 416:
      return "Requested Range Not Satisfiable";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Status";
  }
}

bool never_has_body(int status) {
  return status == 204 || status == 304 || (status >= 100 && status < 200);
}

uint64_t body_length(const Response& response) {
  if (const auto* text = std::get_if<std::string>(&response.body)) return text->size();
  if (const auto* range = std::get_if<ContentRange>(&response.body)) return range->length;
  return response.content_length.value_or(0);
}

std::string format_head(const Response& response, bool keep_alive) {
  auto head = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
  for (const auto& [name, value] : response.headers.fields()) {
    // A line break inside a value would start a header of the attacker's choice.
    if (value.find_first_of("\r\n") != std::string::npos) continue;
    head += fmt::format("{}: {}\r\n", name, value);
  }
  if (response.status != 204) head += fmt::format("Content-Length: {}\r\n", body_length(response));
  head += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return head;
}

}  // namespace

Connection::Connection(std::shared_ptr<ListenerContext> context, io::StreamPtr stream)
    : context_(std::move(context)), stream_(std::move(stream)) {}

Task<> Connection::serve(std::shared_ptr<Connection> self) {
  bool more = true;
  while (more && !self->context_->stopping) more = co_await self->serve_one();
}

/// One request. True: the connection is ready for the next one.
Task<bool> Connection::serve_one() {
  auto head = co_await read_head();
  if (!head) {
    if (head.error().status != 0) co_await refuse(head.error());
    co_return false;
  }
  auto parsed = context_->parser.parse(*head);
  if (!parsed) {
    co_await refuse(parsed.error());
    co_return false;
  }
  auto& request = parsed->request;
  ConnectionBody body(context_->loop, context_->clock, stream_, buffer_, *parsed,
                      context_->options.body_timeout);
  request.body = &body;
  request.peer = stream_->peer();
  request.local = stream_->local();
  auto response = co_await run_handler(request);
  context_->log.debug("{} {} {} {}", request.peer.str(), request.method, request.target, response.status);
  const bool reusable = co_await body.drain();
  const bool keep_alive = reusable && parsed->keep_alive && !response.close && !context_->stopping;
  const bool written = co_await write_response(request.method, response, keep_alive);
  co_return written&& keep_alive;
}

/// The next request head. An error of status 0: the client is gone, nobody to answer.
Task<tl::expected<std::string, HeadError>> Connection::read_head() {
  const auto nobody = tl::unexpected<HeadError>(HeadError{0, {}});
  bool late = false;
  const auto cut_off = [this, &late] {
    late = true;
    stream_->shutdown();
  };
  idle_ = buffer_.empty();
  if (idle_) buffer_.shrink_to_fit();
  const auto& options = context_->options;
  auto timer = context_->clock.after(idle_ ? options.idle_timeout : options.head_timeout, cut_off);
  size_t searched = 0;
  std::array<std::byte, 1024> part;  // an idle connection holds this much and no more
  while (true) {
    // Empty lines before a request are tolerated.
    while (buffer_.starts_with("\r\n")) buffer_.erase(0, 2);
    if (!buffer_.empty() && buffer_.front() == tls_handshake) {
      co_return tl::unexpected<HeadError>(HeadError{400, "client sent a TLS handshake to a plain HTTP port"});
    }
    const auto end = buffer_.find(head_end, searched);
    if (end != std::string::npos && end + head_end.size() <= options.max_head) {
      auto head = buffer_.substr(0, end + head_end.size());
      buffer_.erase(0, head.size());
      idle_ = false;
      co_return head;
    }
    if (buffer_.size() > options.max_head) {
      co_return tl::unexpected<HeadError>(
          HeadError{431, fmt::format("request head exceeds {} bytes", options.max_head)});
    }
    searched = buffer_.size() < head_end.size() ? 0 : buffer_.size() - head_end.size() + 1;
    auto got = co_await stream_->read_some(part);
    if (!got || *got == 0) co_return nobody;
    if (idle_) {
      idle_ = false;
      timer = context_->clock.after(options.head_timeout, cut_off);
    }
    buffer_ += as_text(std::span(part).first(*got));
  }
}

Task<Response> Connection::run_handler(Request& request) {
  std::string failure;
  try {
    co_return co_await context_->router.handle(request);
  } catch (const std::system_error&) {
    throw;  // the server is stopping
  } catch (const std::exception& error) {
    failure = error.what();
  }
  context_->log.error("{} {}: {}", request.method, request.target, failure);
  auto response = text_response(500, "internal error\n");
  response.close = true;
  co_return response;
}

Task<bool> Connection::write_response(const std::string& method, Response& response, bool keep_alive) {
  ProgressWatch watch(context_->clock, stream_, context_->options.body_timeout);
  auto head = format_head(response, keep_alive);
  const bool bodiless = method == "HEAD" || never_has_body(response.status);
  const auto* text = std::get_if<std::string>(&response.body);
  if (!bodiless && text != nullptr && text->size() <= joined_body_max) {
    head += *text;
    text = nullptr;
  } else if (bodiless) {
    text = nullptr;
  }
  const auto* range = bodiless ? nullptr : std::get_if<ContentRange>(&response.body);
  const bool more = text != nullptr || (range != nullptr && range->length > 0);
  auto written = co_await stream_->write(as_bytes(head), more);
  if (written && text != nullptr) written = co_await stream_->write(as_bytes(*text));
  if (!written) co_return false;
  watch.pause();
  if (range == nullptr) co_return true;
  co_return co_await send_content(*range);
}

/// Sends the range as it becomes available. False: the body is not complete, so the connection must not go
/// on.
Task<bool> Connection::send_content(const ContentRange& range) {
  uint64_t offset = range.offset;
  const uint64_t end = range.offset + range.length;
  ProgressWatch watch(context_->clock, stream_, context_->options.body_timeout);
  const auto file = range.content->file();
  while (offset < end) {
    watch.pause();  // the bytes are late, not the client
    auto available = co_await range.content->ready(offset);
    if (!available) {
      context_->log.warn("{} response cut at byte {} of {}: {}", stream_->peer().str(), offset, end,
                         available.error().message);
      stream_->shutdown();
      co_return false;
    }
    watch.resume();
    const auto stop = std::min(end, *available);
    auto sent = co_await stream_->send_file(file, offset, stop - offset);
    if (!sent) {
      context_->log.debug("{} gone at about byte {} of {}: {}", stream_->peer().str(), offset, end,
                          sent.error().message);
      co_return false;
    }
    offset = stop;
  }
  co_return true;
}

Task<> Connection::refuse(const HeadError& error) {
  context_->log.debug("{} refused: {}", stream_->peer().str(), error.text);
  auto response = text_response(error.status, error.text + "\n");
  co_await write_response("GET", response, false);
}

}  // namespace krakend::http
