#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "http/admission.h"
#include "http/gate.h"
#include "http/head_parser.h"
#include "http/listener_metrics.h"
#include "http/request_body.h"
#include "krakend/core/log.h"
#include "krakend/core/trace.h"
#include "krakend/http/server.h"
#include "krakend/io/clock.h"
#include "krakend/io/loop.h"
#include "krakend/io/task_group.h"

namespace krakend::http {

/// What the connections of one listener share. Owned by the server; connections hold it.
struct ListenerContext {
  /// Of the server; they outlive the context.
  struct Shared {
    io::Loop& loop;
    io::Clock& clock;
    io::TaskGroup& tasks;
    HeadParser& parser;
    const bool& overload;
  };
  ListenerContext(const Shared& shared, ListenOptions o, Router r, Logger l)
      : loop(shared.loop),
        clock(shared.clock),
        tasks(shared.tasks),
        parser(shared.parser),
        options(std::move(o)),
        router(std::move(r)),
        log(std::move(l)),
        admission(options, shared.overload),
        metrics(options.metrics, options.name) {}

  io::Loop& loop;
  io::Clock& clock;
  io::TaskGroup& tasks;
  HeadParser& parser;
  ListenOptions options;
  Router router;
  Logger log;
  Gate gate{options};
  Admission admission;
  ListenerMetrics metrics;
  size_t open = 0;  ///< connections at this moment
  std::unordered_map<std::string, size_t> open_by_address{};
  bool stopping = false;
};

/// One client connection: reads heads, runs handlers, moves bodies, one request after the other. Loop thread.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  /// `crowded`: there are too many; only health is answered, and then it ends.
  Connection(std::shared_ptr<ListenerContext> context, io::StreamPtr stream,
             std::optional<Limit> crowded = {});
  /// Serves until the connection ends.
  static Task<> serve(std::shared_ptr<Connection> self);
  /// Owes nobody an answer: may be cut without harm.
  bool idle() const { return idle_; }
  void cut() { stream_->shutdown(); }

 private:
  Task<bool> secure();
  Task<bool> serve_one();
  Task<tl::expected<std::string, HeadError>> read_head();
  tl::expected<std::string, HeadError> take_head(size_t searched);
  /// Arms the timer of the head that has begun.
  io::Timer head_timer();
  static Task<> time_out(std::shared_ptr<Connection> self);
  Task<bool> answer(ParsedHead& head, ConnectionBody& body);
  /// What the gate says, or else the handler.
  Task<Response> respond(Request& request);
  Task<Response> run_handler(Request& request);
  /// Arms the timer of the request that is being served, which lives as long as it.
  void watch_answer(const Request& request, Duration limit);
  static Task<> give_up(std::shared_ptr<Connection> self);
  Task<> settle(Response& response);
  Task<> compress(const Request& request, Response& response);
  void tell(const Request& request, const Response& response, TimePoint began, uint64_t sent_before);
  Task<bool> write_response(const std::string& method, Response& response, bool keep_alive);
  Task<bool> send_content(const ContentRange& range);
  Task<Result<uint64_t>> wait_ready(io::ContentPtr content, uint64_t offset);
  Task<> client_left();
  Task<> refuse(const HeadError& error);
  Task<> linger_closing();

  std::shared_ptr<ListenerContext> context_;
  io::StreamPtr stream_;
  io::PeerSecurity peer_;
  TracePtr trace_;      ///< of the request that is being served
  std::string buffer_;  ///< received and not consumed yet
  std::optional<Limit> crowded_;
  io::Timer answer_timer_;
  bool late_ = false;     ///< the request has been answered 504; whatever comes of it goes nowhere
  size_t head_size_ = 0;  ///< of the response that was written last
  bool idle_ = true;
};

}  // namespace krakend::http
