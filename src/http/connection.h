#pragma once

#include <memory>
#include <string>

#include "http/gate.h"
#include "http/head_parser.h"
#include "krakend/core/log.h"
#include "krakend/http/server.h"
#include "krakend/io/clock.h"
#include "krakend/io/loop.h"
#include "krakend/io/task_group.h"

namespace krakend::http {

/// What the connections of one listener share. Owned by the server; connections hold it.
struct ListenerContext {
  io::Loop& loop;
  io::Clock& clock;
  io::TaskGroup& tasks;
  HeadParser& parser;
  ListenOptions options;
  Router router;
  Logger log;
  Gate gate{options};
  size_t open = 0;  ///< connections at this moment
  bool stopping = false;
};

/// One client connection: reads heads, runs handlers, moves bodies, one request after the other. Loop thread.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ListenerContext> context, io::StreamPtr stream);
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
  Task<Response> answer(Request& request);
  Task<Response> run_handler(Request& request);
  Task<> compress(const Request& request, Response& response);
  Task<bool> write_response(const std::string& method, Response& response, bool keep_alive);
  Task<bool> send_content(const ContentRange& range);
  Task<Result<uint64_t>> wait_ready(io::ContentPtr content, uint64_t offset);
  Task<> client_left();
  Task<> refuse(const HeadError& error);
  Task<> linger_closing();

  std::shared_ptr<ListenerContext> context_;
  io::StreamPtr stream_;
  io::PeerSecurity peer_;
  std::string buffer_;  ///< received and not consumed yet
  bool idle_ = true;
};

}  // namespace krakend::http
