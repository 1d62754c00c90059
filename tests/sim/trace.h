#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "krakend/core/time.h"

namespace krakend::sim {

/// What happened, as one number that two runs can be compared by, and the last events of each node for who
/// wants to know why. One thread.
class Trace {
 public:
  enum class Kind : uint8_t { dial, refused, message, reset, down, up, sync, call, note };
  struct Event {
    Duration at{0};
    Kind kind = Kind::note;
    uint32_t other = 0;   ///< node
    uint64_t amount = 0;  ///< bytes or status
    std::string text;
  };
  static constexpr size_t kept = 200;

  void add(Duration at, Kind kind, uint32_t node, uint32_t other, uint64_t amount) {
    mix(static_cast<uint64_t>(at.count()));
    mix(uint64_t{node} << 32 | other);
    mix(static_cast<uint64_t>(kind) << 56 | amount);
    if (keeps_) keep(node, {at, kind, other, amount, {}});
  }
  void note(Duration at, uint32_t node, std::string text);
  uint64_t hash() const { return hash_; }
  void keep_events(bool keeps) { keeps_ = keeps; }
  /// The last events of a node, one a line.
  std::string last_events(uint32_t node) const;

 private:
  void mix(uint64_t value) {
    hash_ ^= value;
    hash_ *= 0x9E3779B97F4A7C15;
    hash_ ^= hash_ >> 29;
  }
  void keep(uint32_t node, Event event);

  bool keeps_ = true;
  uint64_t hash_ = 0x6b72616b656e64;
  std::vector<std::deque<Event>> nodes_;
};

}  // namespace krakend::sim
