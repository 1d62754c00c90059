#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "krakend/core/time.h"

namespace krakend::sim {

/// Entries in the order of `at`, those of one moment in the order of their number. What is due soon lies in
/// slots by time, and only the present slot is put in order: a heap of everything has hundreds of thousands
/// of entries, and each step down is a cache miss. `Entry` has `at`, and `>` for that order.
template <class Entry>
class EventQueue {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

  void push(Entry entry) {
    ++size_;
    file(std::move(entry));
  }

  /// The first one; not when empty.
  const Entry& front() {
    settle();
    return fresh_comes_first() ? fresh_.front() : now_.back();
  }
  /// Removes it.
  Entry pop() {
    settle();
    --size_;
    if (fresh_comes_first()) return pop_from(fresh_);
    Entry first = std::move(now_.back());
    now_.pop_back();
    return first;
  }
  /// One that comes soon, about `steps` entries after the first; nullptr: none is known. For whoever wants to
  /// have at hand what it needs.
  const Entry* ahead(size_t steps) const {
    return steps < now_.size() ? &now_[now_.size() - 1 - steps] : nullptr;
  }

 private:
  static constexpr int64_t slots = 1024;
  static constexpr int slot_bits = 14;  ///< of nanoseconds: 16 µs each, 17 ms all
  using Heap = std::vector<Entry>;

  static int64_t slot_of(const Entry& entry) { return entry.at.time_since_epoch().count() >> slot_bits; }
  void settle() {
    while (now_.empty() && fresh_.empty()) advance();
  }
  bool fresh_comes_first() const { return now_.empty() || (!fresh_.empty() && now_.back() > fresh_.front()); }
  static void push_on(Heap& heap, Entry entry) {
    heap.push_back(std::move(entry));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  }
  static Entry pop_from(Heap& heap) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    Entry last = std::move(heap.back());
    heap.pop_back();
    return last;
  }

  void file(Entry entry) {
    const int64_t slot = slot_of(entry);
    if (slot <= present_)
      push_on(fresh_, std::move(entry));
    else if (slot < present_ + slots)
      put_in_slot(slot, std::move(entry));
    else
      push_on(later_, std::move(entry));
  }
  void put_in_slot(int64_t slot, Entry entry) {
    Heap& entries = ring_[static_cast<size_t>(slot % slots)];
    // The memory of the slot that was emptied last is still in the cache.
    if (entries.capacity() == 0 && !spare_.empty()) {
      entries = std::move(spare_.back());
      spare_.pop_back();
    }
    entries.push_back(std::move(entry));
    ++in_ring_;
  }

  /// To the next slot, or to the first one that has something when the ring is empty.
  void advance() {
    present_ = in_ring_ > 0 ? present_ + 1 : slot_of(later_.front());
    Heap& next = ring_[static_cast<size_t>(present_ % slots)];
    if (!next.empty()) {
      in_ring_ -= next.size();
      spare_.push_back(std::exchange(now_, std::exchange(next, {})));
      std::sort(now_.begin(), now_.end(), std::greater<>());
    }
    while (!later_.empty() && slot_of(later_.front()) < present_ + slots) file(pop_from(later_));
  }

  std::vector<Entry> now_;  ///< of the present slot, the first one last
  Heap fresh_;              ///< made when the present slot, or a past one, was theirs
  std::array<Heap, static_cast<size_t>(slots)> ring_;
  Heap later_;  ///< beyond the ring
  std::vector<Heap> spare_;
  int64_t present_ = 0;
  size_t in_ring_ = 0;
  size_t size_ = 0;
};

}  // namespace krakend::sim
