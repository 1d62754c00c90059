#include "krakend/core/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <fmt/format.h>

#include <atomic>
#include <mutex>
#include <utility>

namespace krakend {

struct Counter::Cell {
  std::shared_ptr<prometheus::Registry> registry;  ///< owns what is exported
  prometheus::Counter* exported = nullptr;
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
  std::atomic<bool> told{false};  ///< somebody tells statsd
  std::mutex mutex;
  std::vector<double> fresh;
};

void Histogram::observe(double value) const {
  if (!cell_) return;
  cell_->exported->Observe(value);
  if (!cell_->told) return;
  const std::lock_guard lock(cell_->mutex);
  if (cell_->fresh.size() < Metrics::max_timings) cell_->fresh.push_back(value);
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

}  // namespace

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

  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::map<Key, Entry<Counter::Cell>> counters;
  std::map<Key, Entry<Gauge::Cell>> gauges;
  std::map<Key, Entry<Histogram::Cell>> timers;
  std::vector<std::function<void()>> refreshers;
};

Metrics::Metrics() : state_(std::make_shared<State>()) {}

Metrics Metrics::role(std::string name) const {
  Metrics copy = *this;
  copy.role_ = std::move(name);
  return copy;
}

Counter Metrics::counter(const MetricName& name) const {
  return Counter(state_->find(state_->counters, role_, name, prometheus::BuildCounter()));
}

Gauge Metrics::gauge(const MetricName& name) const {
  return Gauge(state_->find(state_->gauges, role_, name, prometheus::BuildGauge()));
}

Histogram Metrics::timer(const MetricName& name, const std::vector<double>& bounds) const {
  return Histogram(state_->find(state_->timers, role_, name, prometheus::BuildHistogram(), bounds));
}

void Metrics::on_read(std::function<void()> refresh) const {
  state_->refreshers.push_back(std::move(refresh));
}

std::string Metrics::text() const {
  for (const auto& refresh : state_->refreshers) refresh();
  return prometheus::TextSerializer().Serialize(state_->registry->Collect());
}

std::vector<StatsdSample> Metrics::changes() const {
  for (const auto& refresh : state_->refreshers) refresh();
  std::vector<StatsdSample> samples;
  for (auto& [key, entry] : state_->counters) {
    if (key.role != role_ || entry.statsd.empty()) continue;
    const auto total = static_cast<uint64_t>(entry.cell->exported->Value());
    const uint64_t grown = total - std::exchange(entry.cell->told, total);
    if (grown > 0) samples.push_back({entry.statsd, "c", std::to_string(grown)});
  }
  for (auto& [key, entry] : state_->gauges) {
    if (key.role != role_ || entry.statsd.empty() || !entry.cell->fresh.exchange(false)) continue;
    const auto value = static_cast<int64_t>(entry.cell->exported->Value());
    samples.push_back({entry.statsd, "g", std::to_string(value)});
  }
  for (auto& [key, entry] : state_->timers) {
    if (key.role != role_ || entry.statsd.empty()) continue;
    constexpr double milliseconds = 1e3;
    const std::lock_guard lock(entry.cell->mutex);
    entry.cell->told = true;
    for (const double seconds : std::exchange(entry.cell->fresh, {}))
      samples.push_back({entry.statsd, "ms", fmt::format("{:.6f}", seconds * milliseconds)});
  }
  return samples;
}

}  // namespace krakend
