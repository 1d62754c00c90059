#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/time.h"

namespace krakend {

/// A number that only grows. A default-made one counts for nobody. Thread-safe.
class Counter {
 public:
  Counter() = default;
  void add(uint64_t by = 1) const;

 private:
  friend class Metrics;
  struct Cell;
  explicit Counter(std::shared_ptr<Cell> cell) : cell_(std::move(cell)) {}
  std::shared_ptr<Cell> cell_;
};

/// A number that goes up and down. Thread-safe.
class Gauge {
 public:
  Gauge() = default;
  void set(double value) const;

 private:
  friend class Metrics;
  struct Cell;
  explicit Gauge(std::shared_ptr<Cell> cell) : cell_(std::move(cell)) {}
  std::shared_ptr<Cell> cell_;
};

/// How often something took how long, or was how large. A default-made one counts for nobody. Thread-safe.
class Histogram {
 public:
  Histogram() = default;
  void observe(double value) const;

 private:
  friend class Metrics;
  struct Cell;
  explicit Histogram(std::shared_ptr<Cell> cell) : cell_(std::move(cell)) {}
  std::shared_ptr<Cell> cell_;
};

/// What a metric is called and means.
struct MetricName {
  /// Without the prefix "krakend_", in base units; counters end in "_total": "writeback_tasks".
  std::string name;
  std::string help;
  /// The reference's name, for statsd (contract config-ops §10.2); empty: statsd does not get it.
  std::string statsd = {};
  /// Few values each: every combination is a series of its own.
  std::map<std::string, std::string> labels = {};
  /// Of a counter: what statsd counts in one of our units, where its unit is another; bits of a byte: 8.
  double statsd_scale = 1;
};

/// Upper ends of buckets, each `factor` times the one before, cut to whole nanoseconds as the reference's
/// are: they stand in names.
std::vector<Duration> exponential_bounds(Duration first, double factor, size_t count);
/// 0, 1, 2 ... count-1.
std::vector<double> counting_bounds(size_t count);

/// One line for statsd: "<name>:<value>|c", "|g" or "|ms" without the prefix.
struct StatsdSample {
  std::string name;
  std::string kind;
  std::string value;
};

/// The numbers of one process, each under the role it belongs to. Cheap to copy; copies share the numbers.
/// Registration and reading: loop thread.
class Metrics {
 public:
  Metrics();
  /// The same numbers; what is made through it carries the label role.
  Metrics role(std::string name) const;

  /// The same name and labels again give the same number.
  Counter counter(const MetricName& name) const;
  Gauge gauge(const MetricName& name) const;
  /// Of seconds: statsd gets each observation as a timer. `bounds`: upper ends of the buckets, ascending.
  Histogram timer(const MetricName& name, const std::vector<double>& bounds) const;
  /// statsd gets a counter of each bucket, "<name>.<lower>-<upper>". The bounds are the reference's then:
  /// they are part of these names. Of seconds where the bounds are durations.
  Histogram histogram(const MetricName& name, const std::vector<double>& bounds) const;
  Histogram histogram(const MetricName& name, const std::vector<Duration>& bounds) const;
  /// Called before the numbers are read, to set gauges that cost something. Whoever registers it must outlive
  /// the last reading.
  void on_read(std::function<void()> refresh) const;

  /// Prometheus text of all roles.
  std::string text() const;
  /// From now on what timers of this role observe is kept for changes(), which is to be called often then.
  void keep_timings() const;
  /// What has changed for this role since the last call: counters by how much, gauges that were set, and what
  /// timers observed, at most max_timings of each; what was more is counted.
  static constexpr size_t max_timings = 1000;
  std::vector<StatsdSample> changes() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::string role_;
};

}  // namespace krakend
