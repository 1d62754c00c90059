#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "krakend/core/counted.h"
#include "krakend/core/result.h"
#include "krakend/io/condition.h"

namespace krakend::proxy {

/// So many at once; some more wait, and others are turned away. Outlives its turns. Loop thread.
class Turns {
 public:
  Turns(io::Loop& loop, size_t at_once, size_t waiting_max)
      : at_once_(at_once), waiting_max_(waiting_max), freed_(loop) {}

  /// One of them, while it lives.
  class Turn {
   public:
    explicit Turn(Turns& turns) : turns_(turns) { ++turns_.running_; }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      --turns_.running_;
      turns_.freed_.notify_all();
    }

   private:
    Turns& turns_;
  };

  /// unavailable when too many wait.
  Task<Result<std::unique_ptr<Turn>>> take() {
    if (running_ >= at_once_ && waiting_ >= waiting_max_)
      co_return fail(Errc::unavailable, "{} images wait already, try again later", waiting_);
    const Counted waiting(waiting_);
    while (running_ >= at_once_) co_await freed_.wait();
    co_return std::make_unique<Turn>(*this);
  }

 private:
  const size_t at_once_;
  const size_t waiting_max_;
  size_t running_ = 0;
  size_t waiting_ = 0;
  io::Condition freed_;
};

}  // namespace krakend::proxy
