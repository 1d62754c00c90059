#include "krakend/core/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <fmt/format.h>

#include <atomic>
#include <mutex>
#include <set>
#include <utility>

namespace krakend {

struct Counter::Cell {
  std::shared_ptr<prometheus::Registry> registry;  ///< owns what is exported
  prometheus::Counter* exported = nullptr;
  double scale = 1;
  uint64_t told = 0;  ///< to statsd
};

struct Gauge::Cell {
  std::shared_ptr<prometheus::Registry> registry;  ///< owns what is exported
  prometheus::Gauge* exported = nullptr;
  std::atomic<bool> fresh{false};
};

struct Histogram::Cell {
  std::shared_ptr<prometheus::Registry> registry;  ///< owns what is exported
  prometheus::Histogram* exported = nullptr;
  // Of a timer.
  std::atomic<bool> kept{false};  ///< for statsd
  Counter dropped;
  std::mutex mutex;
  std::vector<double> fresh;
  // Of one that statsd gets in buckets.
  struct Bucket {
    std::string name;
    uint64_t told = 0;
  };
  std::vector<Bucket> buckets;
};

void Histogram::observe(double value) const {
  if (!cell_) return;
  cell_->exported->Observe(value);
  if (!cell_->kept) return;
  const std::lock_guard lock(cell_->mutex);
  if (cell_->fresh.size() < Metrics::max_timings)
    cell_->fresh.push_back(value);
  else
    cell_->dropped.add();
}

void Counter::add(uint64_t by) const {
  if (cell_) cell_->exported->Increment(static_cast<double>(by));
}

void Gauge::set(double value) const {
  if (!cell_) return;
  cell_->exported->Set(value);
  cell_->fresh = true;
}

namespace {

prometheus::Labels labels_of(const std::string& role, const MetricName& name) {
  prometheus::Labels labels(name.labels.begin(), name.labels.end());
  if (!role.empty()) labels["role"] = role;
  return labels;
}

/// As Go writes it, which stands in the names of buckets: "100ms", "1.4s", "1m0s", "1h0m0s".
std::string go_duration(Duration value) {
  constexpr int64_t minute = 60;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(value);
  if (value == Duration::zero()) return "0s";
  if (value < 1us) return fmt::format("{}ns", value.count());
  if (value < 1ms) return fmt::format("{}\u00b5s", std::chrono::duration<double, std::micro>(value).count());
  if (value < 1s) return fmt::format("{}ms", std::chrono::duration<double, std::milli>(value).count());
  std::string text;
  if (value >= 1h) text += fmt::format("{}h", seconds.count() / (minute * minute));
  if (value >= 1min) text += fmt::format("{}m", seconds.count() / minute % minute);
  text += std::to_string(seconds.count() % minute);
  if (const auto rest = (value - seconds).count(); rest > 0) {
    std::string fraction = fmt::format(".{:09}", rest);
    fraction.erase(fraction.find_last_not_of('0') + 1);
    text += fraction;
  }
  return text + "s";
}

std::string bound_name(Duration bound) {
  return go_duration(bound);
}
std::string bound_name(double bound) {
  return fmt::format("{:.6f}", bound);
}

/// "-infinity-1s", "1s-1.4s" ... "1.4s-infinity" (contract config-ops §10.1).
template <class Bound>
std::vector<std::string> bucket_names(const std::vector<Bound>& bounds) {
  std::vector<std::string> names;
  std::string lower = "-infinity";
  for (const Bound& bound : bounds) {
    names.push_back(lower + "-" + bound_name(bound));
    lower = bound_name(bound);
  }
  names.push_back(lower + "-infinity");
  return names;
}

}  // namespace

std::vector<Duration> exponential_bounds(Duration first, double factor, size_t count) {
  std::vector<Duration> bounds;
  for (Duration bound = first; bounds.size() < count;
       bound = Duration(static_cast<int64_t>(static_cast<double>(bound.count()) * factor)))
    bounds.push_back(bound);
  return bounds;
}

std::vector<double> counting_bounds(size_t count) {
  std::vector<double> bounds;
  while (bounds.size() < count) bounds.push_back(static_cast<double>(bounds.size()));
  return bounds;
}

struct Metrics::State {
  struct Key {
    std::string role;
    std::string name;
    std::map<std::string, std::string> labels;
    auto operator<=>(const Key&) const = default;
  };
  template <class Cell>
  struct Entry {
    std::string statsd;
    std::shared_ptr<Cell> cell;
  };

  /// The number of that name, made when it is the first time.
  template <class Cell, class Builder, class... Args>
  std::shared_ptr<Cell> find(std::map<Key, Entry<Cell>>& known, const std::string& role,
                             const MetricName& name, Builder builder, const Args&... args) {
    Entry<Cell>& entry = known[{role, name.name, name.labels}];
    if (!entry.cell) {
      auto& family = builder.Name("krakend_" + name.name).Help(name.help).Register(*registry);
      entry.statsd = name.statsd;
      entry.cell = std::make_shared<Cell>();
      entry.cell->registry = registry;
      entry.cell->exported = &family.Add(labels_of(role, name), args...);
    }
    return entry.cell;
  }

  static void append_timings(Entry<Histogram::Cell>& entry, std::vector<StatsdSample>& samples);
  static void append_buckets(Entry<Histogram::Cell>& entry, std::vector<StatsdSample>& samples);

  std::shared_ptr<Histogram::Cell> find_histogram(const std::string& role, const MetricName& name,
                                                  const std::vector<double>& bounds,
                                                  const std::vector<std::string>& bucket_names) {
    auto cell = find(histograms, role, name, prometheus::BuildHistogram(), bounds);
    if (bucket_names.empty() && !name.statsd.empty()) cell->kept = keep_timings.contains(role);
    if (!cell->buckets.empty()) return cell;
    for (const std::string& bucket : bucket_names) cell->buckets.push_back({bucket});
    return cell;
  }

  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::map<Key, Entry<Counter::Cell>> counters;
  std::map<Key, Entry<Gauge::Cell>> gauges;
  std::map<Key, Entry<Histogram::Cell>> histograms;
  std::set<std::string> keep_timings;  ///< roles
  std::vector<std::function<void()>> refreshers;
};

Metrics::Metrics() : state_(std::make_shared<State>()) {}

Metrics Metrics::role(std::string name) const {
  Metrics copy = *this;
  copy.role_ = std::move(name);
  return copy;
}

Counter Metrics::counter(const MetricName& name) const {
  auto cell = state_->find(state_->counters, role_, name, prometheus::BuildCounter());
  cell->scale = name.statsd_scale;
  return Counter(std::move(cell));
}

Gauge Metrics::gauge(const MetricName& name) const {
  return Gauge(state_->find(state_->gauges, role_, name, prometheus::BuildGauge()));
}

Histogram Metrics::timer(const MetricName& name, const std::vector<double>& bounds) const {
  auto cell = state_->find_histogram(role_, name, bounds, {});
  cell->dropped = counter({"statsd_timings_dropped_total",
                           "Timings that statsd did not get, because there were too many in a second"});
  return Histogram(std::move(cell));
}

Histogram Metrics::histogram(const MetricName& name, const std::vector<double>& bounds) const {
  return Histogram(state_->find_histogram(role_, name, bounds, bucket_names(bounds)));
}

Histogram Metrics::histogram(const MetricName& name, const std::vector<Duration>& bounds) const {
  std::vector<double> seconds;
  for (const Duration bound : bounds) seconds.push_back(to_seconds(bound));
  return Histogram(state_->find_histogram(role_, name, seconds, bucket_names(bounds)));
}

void Metrics::on_read(std::function<void()> refresh) const {
  state_->refreshers.push_back(std::move(refresh));
}

std::string Metrics::text() const {
  for (const auto& refresh : state_->refreshers) refresh();
  return prometheus::TextSerializer().Serialize(state_->registry->Collect());
}

void Metrics::keep_timings() const {
  state_->keep_timings.insert(role_);
  for (auto& [key, entry] : state_->histograms) {
    if (key.role == role_ && !entry.statsd.empty() && entry.cell->buckets.empty()) entry.cell->kept = true;
  }
}

void Metrics::State::append_timings(Entry<Histogram::Cell>& entry, std::vector<StatsdSample>& samples) {
  constexpr double milliseconds = 1e3;
  const std::lock_guard lock(entry.cell->mutex);
  for (const double seconds : std::exchange(entry.cell->fresh, {}))
    samples.push_back({entry.statsd, "ms", fmt::format("{:.6f}", seconds * milliseconds)});
}

void Metrics::State::append_buckets(Entry<Histogram::Cell>& entry, std::vector<StatsdSample>& samples) {
  const prometheus::ClientMetric::Histogram now = entry.cell->exported->Collect().histogram;
  uint64_t below = 0;  // Prometheus counts in each bucket what is in those before it, too
  for (size_t i = 0; i < now.bucket.size(); ++i) {
    Histogram::Cell::Bucket& bucket = entry.cell->buckets[i];
    const uint64_t total =
        now.bucket[i].cumulative_count - std::exchange(below, now.bucket[i].cumulative_count);
    const uint64_t grown = total - std::exchange(bucket.told, total);
    if (grown > 0) samples.push_back({entry.statsd + "." + bucket.name, "c", std::to_string(grown)});
  }
}

std::vector<StatsdSample> Metrics::changes() const {
  for (const auto& refresh : state_->refreshers) refresh();
  std::vector<StatsdSample> samples;
  for (auto& [key, entry] : state_->counters) {
    if (key.role != role_ || entry.statsd.empty()) continue;
    const auto total = static_cast<uint64_t>(entry.cell->exported->Value() * entry.cell->scale);
    const uint64_t grown = total - std::exchange(entry.cell->told, total);
    if (grown > 0) samples.push_back({entry.statsd, "c", std::to_string(grown)});
  }
  for (auto& [key, entry] : state_->gauges) {
    if (key.role != role_ || entry.statsd.empty() || !entry.cell->fresh.exchange(false)) continue;
    const auto value = static_cast<int64_t>(entry.cell->exported->Value());
    samples.push_back({entry.statsd, "g", std::to_string(value)});
  }
  for (auto& [key, entry] : state_->histograms) {
    if (key.role != role_ || entry.statsd.empty()) continue;
    if (entry.cell->buckets.empty())
      State::append_timings(entry, samples);
    else
      State::append_buckets(entry, samples);
  }
  return samples;
}

}  // namespace krakend
