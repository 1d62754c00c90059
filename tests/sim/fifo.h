#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace krakend::sim {

/// A queue in one piece of memory. A simulation has hundreds of thousands of them, most with an entry or
/// none, and each visit finds them cold: std::deque takes 600 bytes and three places for that.
template <class T>
class Fifo {
 public:
  bool empty() const { return begin_ == items_.size(); }
  size_t size() const { return items_.size() - begin_; }
  T& front() { return items_[begin_]; }
  T& back() { return items_.back(); }
  T& operator[](size_t at) { return items_[begin_ + at]; }
  auto begin() const { return items_.begin() + static_cast<ptrdiff_t>(begin_); }
  auto end() const { return items_.end(); }

  void push_back(T item) { items_.push_back(std::move(item)); }
  void pop_back() {
    items_.pop_back();
    if (empty()) clear();
  }
  void pop_front() {
    items_[begin_++] = T{};
    if (empty())
      clear();
    else if (begin_ >= most_spare && 2 * begin_ >= items_.size())
      drop_spare();
  }
  void clear() {
    items_.clear();
    begin_ = 0;
  }

 private:
  static constexpr size_t most_spare = 16;
  void drop_spare() {
    items_.erase(items_.begin(), items_.begin() + static_cast<ptrdiff_t>(begin_));
    begin_ = 0;
  }

  std::vector<T> items_;
  size_t begin_ = 0;
};

}  // namespace krakend::sim
