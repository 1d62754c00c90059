#pragma once

namespace krakend {

/// Counts one while it lives. The count outlives it. One thread.
template <class Count>
class Counted {
 public:
  explicit Counted(Count& count) : count_(count) { ++count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --count_; }

 private:
  Count& count_;
};

}  // namespace krakend
