#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace krakend::sim {

/// A queue. A simulation has hundreds of thousands of them, most with an entry or none, and each visit finds
/// them cold: the first entry lies in the queue itself, and only those behind it elsewhere.
template <class T>
class Fifo {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  T& front() { return first_; }
  const T& front() const { return first_; }
  T& back() { return (*this)[size_ - 1]; }
  T& operator[](size_t at) { return at == 0 ? first_ : rest_[begin_ + at - 1]; }

  void push_back(T item) {
    if (size_++ == 0)
      first_ = std::move(item);
    else
      rest_.push_back(std::move(item));
  }
  void pop_back() {
    if (--size_ == 0)
      first_ = T{};
    else
      rest_.pop_back();
  }
  void pop_front() {
    if (--size_ == 0) {
      first_ = T{};
      return;
    }
    first_ = std::move(rest_[begin_++]);
    if (begin_ == rest_.size() || (begin_ >= most_spare && 2 * begin_ >= rest_.size())) drop_spare();
  }
  void clear() {
    first_ = T{};
    rest_.clear();
    size_ = begin_ = 0;
  }

 private:
  static constexpr size_t most_spare = 16;
  void drop_spare() {
    rest_.erase(rest_.begin(), rest_.begin() + static_cast<ptrdiff_t>(begin_));
    begin_ = 0;
  }

  size_t size_ = 0;
  T first_{};
  std::vector<T> rest_;
  size_t begin_ = 0;  ///< of what is still in rest_
};

}  // namespace krakend::sim
