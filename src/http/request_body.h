#pragma once

#include <string>

#include "http/head_parser.h"
#include "http/progress_watch.h"
#include "krakend/core/units.h"
#include "krakend/http/message.h"
#include "krakend/io/loop.h"

namespace krakend::http {

/// The body of the current request of a connection. `max_body`: too_large beyond, whatever a reader allows.
/// `buffer` holds what was received behind the head, and gets back what belongs to the next request. Loop
/// thread.
class ConnectionBody final : public RequestBody {
 public:
  /// Bytes of an unread body that are read away to keep the connection.
  static constexpr uint64_t drain_limit = 256 * KiB;

  ConnectionBody(io::Loop& loop, io::Clock& clock, io::StreamPtr stream, std::string& buffer,
                 const ParsedHead& head, Duration timeout, uint64_t max_body);

  std::optional<uint64_t> length() const override;
  Task<Result<uint64_t>> read_to(io::ByteSink& sink, uint64_t limit) override;
  /// The client was silent for too long.
  bool timed_out() const { return timed_out_; }
  /// Reads away what the handler left. False: the connection cannot be used any more.
  Task<bool> drain();

 private:
  Task<Result<void>> send_continue();
  Task<Result<uint64_t>> read_sized(io::ByteSink& sink, uint64_t limit);
  Task<Result<uint64_t>> read_chunked(io::ByteSink& sink, uint64_t limit);
  Task<Result<uint64_t>> receive(io::ByteSink& sink, uint64_t max);

  io::Loop& loop_;
  io::Clock& clock_;
  io::StreamPtr stream_;
  std::string& buffer_;
  Duration timeout_;
  uint64_t max_body_;
  bool chunked_;
  bool expects_continue_;
  uint64_t total_;
  uint64_t left_;  ///< bytes not read yet, of a sized body
  bool finished_ = false;
  bool broken_ = false;
  bool timed_out_ = false;
};

}  // namespace krakend::http
