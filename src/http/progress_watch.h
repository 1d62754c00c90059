#pragma once

#include "krakend/io/clock.h"
#include "krakend/io/net.h"

namespace krakend::http {

/// Cuts a connection over which no byte has moved for `limit`. Active while it lives; pause() while this side
/// is the one that is waited for. Loop thread.
class ProgressWatch {
 public:
  ProgressWatch(io::Clock& clock, io::StreamPtr stream, Duration limit)
      : clock_(clock), stream_(std::move(stream)), limit_(limit) {
    arm();
  }
  ProgressWatch(const ProgressWatch&) = delete;
  ProgressWatch& operator=(const ProgressWatch&) = delete;

  void pause() { timer_.cancel(); }
  void resume() { arm(); }
  bool expired() const { return expired_; }

 private:
  uint64_t moved() const { return stream_->bytes_received() + stream_->bytes_sent(); }
  void arm() {
    last_ = moved();
    timer_ = clock_.after(limit_, [this] {
      if (moved() != last_) return arm();
      expired_ = true;
      stream_->shutdown();
    });
  }

  io::Clock& clock_;
  io::StreamPtr stream_;
  Duration limit_;
  uint64_t last_ = 0;
  bool expired_ = false;
  io::Timer timer_;
};

}  // namespace krakend::http
