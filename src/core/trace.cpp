#include "krakend/core/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace krakend {
namespace {

/// The one piece of state that is not handed in: it belongs to the thread, as its stack does.
thread_local TracePtr current;

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_zero(std::string_view text) {
  return text.find_first_not_of('0') == std::string_view::npos;
}

}  // namespace

std::optional<Trace> Trace::parse(std::string_view traceparent, std::string_view tracestate,
                                  std::string_view own) {
  // version "-" trace id "-" parent id "-" flags; later versions may go on behind another dash.
  constexpr size_t length = 55;
  constexpr size_t max_state = 512;  // bytes, as the standard asks to keep
  if (traceparent.size() < length) return std::nullopt;
  const std::string_view version = traceparent.substr(0, 2);
  const std::string_view trace_id = traceparent.substr(3, 32);
  const std::string_view parent = traceparent.substr(36, 16);
  const std::string_view flags = traceparent.substr(53, 2);
  if (traceparent[2] != '-' || traceparent[35] != '-' || traceparent[52] != '-') return std::nullopt;
  if (traceparent.size() > length && (version == "00" || traceparent[length] != '-')) return std::nullopt;
  if (!is_hex(version) || version == "ff" || !is_hex(trace_id) || is_zero(trace_id)) return std::nullopt;
  if (!is_hex(parent) || is_zero(parent) || !is_hex(flags)) return std::nullopt;
  const size_t span = std::hash<std::string>()(fmt::format("{}/{}/{}", trace_id, parent, own));
  return Trace{std::string(trace_id), fmt::format("{:016x}", span | 1), std::string(flags),
               std::string(tracestate.size() <= max_state ? tracestate : std::string_view())};
}

std::string Trace::traceparent() const {
  return fmt::format("00-{}-{}-{}", trace_id, span_id, flags);
}

const TracePtr& current_trace() {
  return current;
}

TraceScope::TraceScope(TracePtr trace) : before_(std::exchange(current, std::move(trace))) {}

TraceScope::~TraceScope() {
  current = std::move(before_);
}

}  // namespace krakend
