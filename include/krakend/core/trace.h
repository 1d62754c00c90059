#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace krakend {

/// The W3C trace context of a request: which trace it belongs to, and our own step of it.
struct Trace {
  std::string trace_id;  ///< 32 hex digits
  std::string span_id;   ///< 16 hex digits, ours
  std::string flags;     ///< 2 hex digits, as received
  std::string state;     ///< header tracestate, as received; may be empty

  /// Of the headers of a request; nullopt when there is no valid traceparent. `own` makes our span's id
  /// differ from that of every other step.
  static std::optional<Trace> parse(std::string_view traceparent, std::string_view tracestate,
                                    std::string_view own);
  /// The header for requests that are made on behalf of this one.
  std::string traceparent() const;
};
using TracePtr = std::shared_ptr<const Trace>;

/// What the calling thread works for right now; null most of the time. It follows a request's coroutines from
/// wait to wait (io::traced), so that whoever logs or calls another host need not be told.
const TracePtr& current_trace();

/// Sets it for a while.
class TraceScope {
 public:
  explicit TraceScope(TracePtr trace);
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;
  ~TraceScope();

 private:
  TracePtr before_;
};

}  // namespace krakend
