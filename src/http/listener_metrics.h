#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "krakend/core/metrics.h"
#include "krakend/core/time.h"
#include "krakend/http/server.h"

namespace krakend::http {

/// The numbers of one listener. Loop thread.
class ListenerMetrics {
 public:
  ListenerMetrics(const Metrics& metrics, std::string listener);
  void request(std::string_view method, int status, Duration took);
  /// A limit was met.
  void limit(Limit limit) const;
  void show(size_t connections, size_t requests, size_t uploads) const;

 private:
  Metrics metrics_;
  std::string listener_;
  /// By method and status: both few.
  std::unordered_map<size_t, Counter> requests_;
  std::unordered_map<size_t, Counter> limits_;
  Histogram seconds_;
  Gauge connections_;
  Gauge running_;
  Gauge uploads_;
};

}  // namespace krakend::http
