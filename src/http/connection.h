#pragma once

#include <memory>
#include <string>

#include "http/head_parser.h"
#include "krakend/core/log.h"
#include "krakend/http/server.h"
#include "krakend/io/clock.h"
#include "krakend/io/loop.h"

namespace krakend::http {

/// What the connections of one listener share. Owned by the server; connections hold it.
struct ListenerContext {
  io::Loop& loop;
  io::Clock& clock;
  HeadParser& parser;
  ListenOptions options;
  Router router;
  Logger log;
  bool stopping = false;
};

/// One client connection: reads heads, runs handlers, moves bodies, one request after the other. Loop thread.
class Connection {
 public:
  Connection(std::shared_ptr<ListenerContext> context, io::StreamPtr stream);
  /// Serves until the connection ends.
  static Task<> serve(std::shared_ptr<Connection> self);
  /// Waiting for a request: may be cut without harm.
  bool idle() const { return idle_; }
  void cut() { stream_->shutdown(); }

 private:
  class Body;

  Task<bool> serve_one();
  Task<tl::expected<std::string, HeadError>> read_head();
  Task<Response> run_handler(Request& request);
  Task<bool> write_response(const std::string& method, Response& response, bool keep_alive);
  Task<bool> send_content(const ContentRange& range);
  Task<> refuse(const HeadError& error);

  std::shared_ptr<ListenerContext> context_;
  io::StreamPtr stream_;
  std::string buffer_;  ///< received and not consumed yet
  bool idle_ = true;
};

}  // namespace krakend::http
