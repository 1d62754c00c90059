#include "sim/trace.h"

#include <fmt/format.h>

#include <string_view>

namespace krakend::sim {
namespace {

constexpr std::array<std::string_view, 9> names{"dial", "refused", "message", "reset", "down",
                                                "up",   "sync",    "call",    "note"};

}  // namespace

void Trace::note(Duration at, uint32_t node, std::string text) {
  for (const char c : text) mix(static_cast<uint8_t>(c));
  mix(static_cast<uint64_t>(at.count()));
  keep(node, {at, Kind::note, node, 0, std::move(text)});
}

void Trace::keep(uint32_t node, Event event) {
  if (nodes_.size() <= node) nodes_.resize(node + 1);
  auto& events = nodes_[node];
  events.push_back(std::move(event));
  if (events.size() > kept) events.pop_front();
}

std::string Trace::last_events(uint32_t node) const {
  std::string out;
  if (node >= nodes_.size()) return out;
  for (const Event& event : nodes_[node]) {
    out += fmt::format("{:12.6f} {} ", to_seconds(event.at), names.at(static_cast<size_t>(event.kind)));
    out += event.text.empty() ? fmt::format("node {} {}\n", event.other, event.amount) : event.text + "\n";
  }
  return out;
}

}  // namespace krakend::sim
