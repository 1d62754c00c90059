#include "daemon/overload.h"

#include <algorithm>
#include <utility>

#include "krakend/io/system.h"

namespace krakend::daemon {

OverloadWatch::OverloadWatch(Services services, Logger log)
    : services_(std::move(services)),
      log_(log.module("overload")),
      lag_(services_.metrics.gauge({"loop_lag_seconds", "How late the event loop was at the last look"})),
      memory_(services_.metrics.gauge({"memory_bytes", "Resident memory of the process"})),
      memory_max_gauge_(services_.metrics.gauge({"memory_max_bytes", "limits.memory_max; 0: no limit"})),
      overloaded_gauge_(services_.metrics.gauge(
          {"overloaded", "1 while pulls are turned away, because there is too much to do"})) {
  const Gauge files = services_.metrics.gauge({"open_files", "Descriptors that the process has open"});
  const Gauge most = services_.metrics.gauge({"open_files_max", "Descriptors that it may have"});
  services_.metrics.on_read([files, most] {
    files.set(static_cast<double>(io::open_files()));
    most.set(static_cast<double>(io::open_files_max()));
  });
}

void OverloadWatch::set_memory_max(uint64_t bytes) {
  constexpr uint64_t tenths = 9;
  memory_max_ = bytes != 0 ? bytes : io::memory_allowed().value_or(0) / 10 * tenths;
  memory_max_gauge_.set(static_cast<double>(memory_max_));
}

Task<> OverloadWatch::run() {
  for (;;) {
    const TimePoint before = services_.clock.now();
    co_await services_.clock.sleep(interval);
    look(services_.clock.now() - before - interval, watches_memory_ ? io::memory_use() : 0);
    if (watches_memory_) return_leftovers();
  }
}

void OverloadWatch::return_leftovers() {
  const size_t kept = io::kept_memory();
  kept_ = std::min(kept_, kept);
  if (kept < kept_ + leftovers) return;
  io::return_memory();
  kept_ = io::kept_memory();
}

void OverloadWatch::look(Duration late, uint64_t memory) {
  lag_.set(to_seconds(late));
  memory_.set(static_cast<double>(memory));
  if (memory_max_ > 0) full_ = memory * 100 > memory_max_ * (full_ ? memory_low : memory_high);
  late_ = late > latest ? late_ + 1 : 0;
  const bool now = full_ || late_ >= late_looks;
  if (now != overloaded_) {
    overloaded_ = now;
    services_.overload(now);
    overloaded_gauge_.set(now ? 1 : 0);
    if (now) {
      log_.warn("too much to do: pulls get 503; the loop is {} s late, memory {} of {} bytes",
                to_seconds(late), memory, memory_max_);
    } else {
      log_.info("pulls are served again");
    }
  }
}

}  // namespace krakend::daemon
