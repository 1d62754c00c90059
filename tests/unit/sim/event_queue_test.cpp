#include "sim/event_queue.h"

#include <queue>
#include <random>
#include <tuple>

#include "support/catch.h"

namespace krakend::sim {
namespace {

struct Entry {
  TimePoint at;
  uint64_t number;
  bool operator>(const Entry& other) const { return std::tie(at, number) > std::tie(other.at, other.number); }
};

TEST_CASE("events come in the order of a plain heap, near and far, while others are added", "[sim]") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> model;
  EventQueue<Entry> queue;
  TimePoint now{1h};
  uint64_t number = 0;
  const auto add = [&](Duration delay) {
    const Entry entry{now + delay, number++};
    model.push(entry);
    queue.push(entry);
  };
  const auto draw = [&](Duration most) {
    return Duration{static_cast<int64_t>(random() % static_cast<uint64_t>(most.count()))};
  };
  for (int step = 0; step < 50'000; ++step) {
    const auto kind = random() % 8;
    if (kind == 0) add(0ns);
    if (kind == 1) add(draw(20us));
    if (kind == 2) add(draw(10ms));
    if (kind == 3 && random() % 4 == 0) add(draw(100ms));
    if (kind == 4 && random() % 64 == 0) add(draw(1h));
    if (kind < 5 || model.empty()) continue;
    REQUIRE(queue.front().number == model.top().number);
    if (const Entry* soon = queue.ahead(1)) CHECK_FALSE(queue.front() > *soon);
    const Entry next = queue.pop();
    now = next.at;
    model.pop();
    REQUIRE(queue.size() == model.size());
  }
  for (; !model.empty(); model.pop()) REQUIRE(queue.pop().number == model.top().number);
  CHECK(queue.empty());
}

}  // namespace
}  // namespace krakend::sim
