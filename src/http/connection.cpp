#include "http/connection.h"

#include <algorithm>
#include <array>
#include <asio/experimental/awaitable_operators.hpp>
#include <exception>
#include <system_error>

#include "http/access_log.h"
#include "http/gzip.h"
#include "http/linger.h"
#include "http/request_body.h"
#include "http/response_head.h"
#include "krakend/core/hex.h"
#include "krakend/io/condition.h"
#include "krakend/io/traced.h"

namespace krakend::http {
namespace {

constexpr std::string_view head_end = "\r\n\r\n";
constexpr char tls_handshake = 0x16;
/// A body of at most this size travels in one write with its head.
constexpr size_t joined_body_max = 64 * KiB;
/// One read of a head; an idle connection holds this much and no more.
constexpr size_t head_step = 1 * KiB;

tl::unexpected<HeadError> head_error(int status, std::string text) {
  return tl::unexpected<HeadError>(HeadError{status, std::move(text)});
}

/// Bytes of a body that does not make its request an upload.
constexpr uint64_t upload_from = 64 * KiB;
/// A connection that is one too many gets this long to ask for health.
constexpr Duration crowded_idle_timeout = 1s;

/// Nobody is there to be answered.
constexpr int nobody = 0;
/// The head is not complete yet.
constexpr int incomplete = 1;

/// The trace that the request belongs to, if its client says so.
TracePtr trace_of(const Request& request, const ListenerContext& context) {
  const std::string_view parent = request.headers.get("traceparent");
  if (parent.empty()) return nullptr;
  const std::string own = fmt::format("{}/{}/{}", request.local.str(), request.peer.str(),
                                      context.clock.now().time_since_epoch().count());
  auto trace = Trace::parse(parent, request.headers.joined("tracestate"), own);
  return trace ? std::make_shared<const Trace>(std::move(*trace)) : nullptr;
}

Duration answer_timeout(std::string_view path, const ListenOptions& options) {
  for (const AnswerTimeout& timeout : options.answer_timeouts)
    if (path.starts_with(timeout.prefix)) return timeout.limit;
  return Duration{0};
}

/// A handler or content that throws is a failure of this request only; a cancellation is for the task group.
bool is_cancellation(const std::system_error& error) {
  return error.code() == std::errc::operation_canceled;
}

/// ready() with exceptions of its own turned into an error.
Task<Result<uint64_t>> ready_or_error(io::ContentPtr content, uint64_t offset) {
  std::string failure;
  try {
    co_return co_await content->ready(offset);
  } catch (const std::system_error& error) {
    if (is_cancellation(error)) throw;
    failure = error.what();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  co_return fail(Errc::internal, "{}", failure);
}

}  // namespace

Connection::Connection(std::shared_ptr<ListenerContext> context, io::StreamPtr stream,
                       std::optional<Limit> crowded)
    : context_(std::move(context)), stream_(std::move(stream)), crowded_(crowded) {}

Task<> Connection::serve(std::shared_ptr<Connection> self) {
  bool more = co_await self->secure();
  while (more && !self->context_->stopping) more = co_await self->serve_one();
}

/// The handshake of a secured connection. False: there is none to serve.
Task<bool> Connection::secure() {
  if (!context_->options.tls) co_return true;
  auto timer = context_->clock.after(context_->options.head_timeout, [this] { stream_->shutdown(); });
  auto peer = co_await stream_->handshake();
  timer.cancel();
  if (peer) {
    peer_ = std::move(*peer);
    co_return true;
  }
  context_->log.debug("{}", peer.error().message);
  // Who speaks plain HTTP hears so; to everybody else nothing can be written.
  const HeadError plain{400, "client sent an HTTP request to an HTTPS port"};
  if (peer.error().code == Errc::protocol) co_await refuse(plain);
  co_return false;
}

/// One request. True: the connection is ready for the next one.
Task<bool> Connection::serve_one() {
  auto head = co_await read_head();
  if (!head) {
    if (head.error().status != nobody) co_await refuse(head.error());
    co_return false;
  }
  auto parsed = context_->parser.parse(*head);
  if (!parsed) {
    co_await refuse(parsed.error());
    co_return false;
  }
  auto& request = parsed->request;
  ConnectionBody body(context_->loop, context_->clock, stream_, buffer_, *parsed,
                      context_->options.body_timeout, context_->options.max_body);
  request.body = &body;
  request.peer = stream_->peer();
  request.local = stream_->local();
  request.secured = peer_.secured;
  trace_ = trace_of(request, *context_);
  co_return co_await answer(*parsed, body);
}

/// Lets the request in, has it handled, and sends the answer. True: the connection may go on.
Task<bool> Connection::answer(ParsedHead& head, ConnectionBody& body) {
  Request& request = head.request;
  const TimePoint began = context_->clock.now();
  const uint64_t sent_before = stream_->bytes_sent();
  const bool upload = head.chunked || head.content_length > upload_from;
  const auto seat =
      context_->admission.enter(classify(request, context_->options), upload, crowded_.has_value());
  Response response;
  if (seat) {
    watch_answer(request, answer_timeout(request.path, context_->options));
    response = co_await respond(request);
  } else {
    const Limit met = crowded_.value_or(seat.error());
    if (!crowded_) context_->metrics.limit(met);
    response = overloaded(met, context_->options);
  }
  if (context_->log.enabled(LogLevel::debug)) {
    const TraceScope scope(trace_);
    context_->log.debug("{} {} {} {}", request.peer.str(), request.method, request.target, response.status);
  }
  const bool reusable = co_await body.drain();
  if (request.method != "HEAD") co_await settle(response);
  answer_timer_.cancel();
  if (late_) response = text_response(504, {});
  const bool keep_alive = reusable && head.keep_alive && !response.close && !context_->stopping && !crowded_;
  bool written = false;
  if (!late_) written = co_await write_response(request.method, response, keep_alive);
  if (body.timed_out()) context_->metrics.limit(Limit::body_timeout);
  tell(request, response, began, sent_before);
  if (written && !reusable) co_await linger_closing();
  co_return written&& keep_alive;
}

void Connection::tell(const Request& request, const Response& response, TimePoint began,
                      uint64_t sent_before) {
  const Duration took = context_->clock.now() - began;
  context_->metrics.request(request.method, response.status, took);
  const AccessLog& access = context_->options.access_log;
  if (!access.log || request.path == "/health" || request.path == "/readiness") return;
  const uint64_t bytes = stream_->bytes_sent() - sent_before;
  const AccessEntry entry{request,    response,
                          bytes,      bytes - std::min<uint64_t>(bytes, head_size_),
                          took,       context_->clock.wall(),
                          access.host};
  access.log.write(access.json ? json_line(entry) : combined_line(entry));
}

/// The head at the front of the buffer, or why there is none. `searched`: bytes that hold no end for sure.
tl::expected<std::string, HeadError> Connection::take_head(size_t searched) {
  // Empty lines before a request are tolerated.
  while (buffer_.starts_with("\r\n")) buffer_.erase(0, 2);
  if (buffer_.empty()) return head_error(incomplete, {});
  if (buffer_.front() == tls_handshake) {
    return head_error(400, "client sent a TLS handshake to a plain HTTP port");
  }
  const char first = buffer_.front();
  if (first != '\r' && (first < 'A' || first > 'Z')) return head_error(400, "not an HTTP request");
  const auto end = buffer_.find(head_end, searched);
  const auto size = end == std::string::npos ? buffer_.size() : end + head_end.size();
  // One more byte than allowed is needed to tell, unless the end is here.
  if (size > context_->options.max_head) {
    return head_error(431, fmt::format("request head exceeds {} bytes", context_->options.max_head));
  }
  // A head whose lines end in LF alone would never end by our rule.
  for (auto lf = buffer_.find('\n', searched); lf < size; lf = buffer_.find('\n', lf + 1)) {
    if (lf == 0 || buffer_[lf - 1] != '\r') return head_error(400, "line of the head ends without CR");
  }
  if (end == std::string::npos) return head_error(incomplete, {});
  auto head = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return head;
}

/// The next request head.
Task<tl::expected<std::string, HeadError>> Connection::read_head() {
  idle_ = buffer_.empty();
  if (idle_) buffer_.shrink_to_fit();
  const Duration idle = crowded_ ? crowded_idle_timeout : context_->options.idle_timeout;
  auto timer = idle_ ? context_->clock.after(idle,
                                             [this] {
                                               context_->metrics.limit(Limit::idle_timeout);
                                               stream_->shutdown();
                                             })
                     : head_timer();
  size_t searched = 0;
  std::array<std::byte, head_step> part;
  while (true) {
    auto head = take_head(searched);
    if (head || head.error().status != incomplete) {
      idle_ = false;
      co_return head;
    }
    searched = buffer_.size() < head_end.size() ? 0 : buffer_.size() - head_end.size() + 1;
    auto got = co_await stream_->read_some(part);
    if (!got || (*got == 0 && buffer_.empty())) co_return head_error(nobody, {});
    if (*got == 0) co_return head_error(400, "request head ends early");
    if (std::exchange(idle_, false)) timer = head_timer();
    buffer_ += as_text(std::span(part).first(*got));
  }
}

io::Timer Connection::head_timer() {
  return context_->clock.after(context_->options.head_timeout, [this] {
    context_->tasks.spawn(time_out(shared_from_this()), "http head timeout");
  });
}

/// read_head() is still reading, but nothing is being written: answer, then end the read.
Task<> Connection::time_out(std::shared_ptr<Connection> self) {
  self->context_->metrics.limit(Limit::head_timeout);
  self->context_->log.debug("{} refused: request head is late", self->stream_->peer().str());
  auto response = text_response(408, "request head did not arrive in time\n");
  co_await self->write_response("GET", response, false);
  self->stream_->shutdown();
}

void Connection::watch_answer(const Request& request, Duration limit) {
  if (limit == Duration{0}) return;
  answer_timer_ = context_->clock.after(limit, [this, &request, limit, before = stream_->bytes_received()] {
    if (stream_->bytes_received() != before) return watch_answer(request, limit);
    late_ = true;
    context_->metrics.limit(Limit::answer_timeout);
    const TraceScope scope(trace_);
    context_->log.warn("{} {} {} is answered 504: nothing to answer with within {} s", request.peer.str(),
                       request.method, request.target, to_seconds(limit));
    context_->tasks.spawn(give_up(shared_from_this()), "http answer timeout");
  });
}

/// The handler goes on: it finds the connection shut when it reads or answers.
Task<> Connection::give_up(std::shared_ptr<Connection> self) {
  auto response = text_response(504, "no answer in time\n");
  co_await self->write_response("GET", response, false);
  self->stream_->shutdown();
}

Task<Response> Connection::respond(Request& request) {
  if (auto refused = context_->gate.refuse(request, peer_, context_->clock.now())) {
    context_->log.debug("{} {} {} refused: {}", request.peer.str(), request.method, request.target,
                        refused->status);
    co_return std::move(*refused);
  }
  auto response = co_await run_handler(request);
  if (context_->options.compress && worth_compressing(request, response))
    co_await compress(request, response);
  co_return response;
}

/// Text of some size keeps the loop thread for too long.
Task<> Connection::compress(const Request& request, Response& response) {
  auto& text = std::get<std::string>(response.body);
  auto packed = co_await context_->loop.offload([&] { return gzip(text); });
  if (!packed) {
    context_->log.warn("{} {}: not compressed: {}", request.method, request.target, packed.error().message);
    co_return;
  }
  text = std::move(*packed);
  response.headers.set("Content-Encoding", "gzip");
  response.headers.add("Vary", "Accept-Encoding");
}

Task<Response> Connection::run_handler(Request& request) {
  std::string failure;
  try {
    if (!trace_) co_return co_await context_->router.handle(request);
    const auto executor = io::traced(context_->loop, trace_);
    co_return co_await asio::co_spawn(executor, context_->router.handle(request), asio::use_awaitable);
  } catch (const std::system_error& error) {
    if (is_cancellation(error)) throw;
    failure = error.what();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  const TraceScope scope(trace_);
  context_->log.error("{} {}: {}", request.method, request.target, failure);
  auto response = text_response(500, "internal error\n");
  response.close = true;
  co_return response;
}

/// Waits for the first byte of a body that may turn out not to come, as long as the status can still say so.
Task<> Connection::settle(Response& response) {
  const auto* range = std::get_if<ContentRange>(&response.body);
  if (range == nullptr || range->length == 0 || !response.unless_ready) co_return;
  auto available = co_await wait_ready(range->content, range->offset);
  if (available) co_return;
  auto instead = response.unless_ready(available.error());
  instead.close = response.close;
  response = std::move(instead);
}

Task<bool> Connection::write_response(const std::string& method, Response& response, bool keep_alive) {
  ProgressWatch watch(context_->clock, stream_, context_->options.body_timeout);
  auto head = format_head(response, keep_alive);
  head_size_ = head.size();
  // Nothing of a body that is not sent may be held while the client is slow.
  if (method == "HEAD" || never_has_body(response.status)) response.body = std::monostate{};
  const auto* text = std::get_if<std::string>(&response.body);
  if (text != nullptr && text->size() <= joined_body_max) {
    head += *text;
    text = nullptr;
  }
  const auto* range = std::get_if<ContentRange>(&response.body);
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
    auto available = co_await wait_ready(range.content, offset);
    if (!available) {
      const TraceScope scope(trace_);
      const auto level = available.error().code == Errc::cancelled ? LogLevel::debug : LogLevel::warn;
      context_->log.write(level, fmt::format("{} response cut at byte {} of {}: {}", stream_->peer().str(),
                                             offset, end, available.error().message));
      stream_->shutdown();
      co_return false;
    }
    watch.resume();
    const auto stop = std::min(end, *available);
    auto sent = co_await stream_->send_file(file, offset, stop - offset);
    if (!sent) {
      if (watch.expired()) context_->metrics.limit(Limit::body_timeout);
      context_->log.debug("{} gone at about byte {} of {}: {}", stream_->peer().str(), offset, end,
                          sent.error().message);
      // A file shorter than its content must not end as a complete body either.
      stream_->shutdown();
      co_return false;
    }
    offset = stop;
  }
  co_return true;
}

/// content->ready(), given up with `cancelled` when the client leaves meanwhile.
Task<Result<uint64_t>> Connection::wait_ready(io::ContentPtr content, uint64_t offset) {
  using asio::experimental::awaitable_operators::operator||;
  try {
    auto first = co_await (ready_or_error(std::move(content), offset) || client_left());
    if (auto* available = std::get_if<0>(&first)) co_return std::move(*available);
  } catch (const asio::multiple_exceptions& both) {
    std::rethrow_exception(both.first_exception());  // this task is being stopped
  }
  co_return fail(Errc::cancelled, "the client left");
}

/// Returns when the client closes its side. Requests it sends ahead meanwhile are kept.
Task<> Connection::client_left() {
  std::array<std::byte, head_step> part;
  while (buffer_.size() < context_->options.max_head) {
    auto got = co_await stream_->read_some(part);
    if (!got || *got == 0) co_return;
    buffer_ += as_text(std::span(part).first(*got));
  }
  io::Condition never(context_->loop);
  co_await never.wait();
}

Task<> Connection::refuse(const HeadError& error) {
  // A limit that was met is news; not speaking our HTTP is everyday life (clients try TLS first).
  const auto level = error.status == 431 ? LogLevel::warn : LogLevel::debug;
  if (error.status == 431) context_->metrics.limit(Limit::head_bytes);
  context_->log.write(level, fmt::format("{} refused: {}", stream_->peer().str(), error.text));
  auto response = text_response(error.status, error.text + "\n");
  if (co_await write_response("GET", response, false)) co_await linger_closing();
}

Task<> Connection::linger_closing() {
  idle_ = true;
  if (!context_->stopping) co_await linger(context_->clock, stream_);
}

}  // namespace krakend::http
