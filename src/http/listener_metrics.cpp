#include "http/listener_metrics.h"

#include <algorithm>
#include <array>

#include "http/admission.h"

namespace krakend::http {
namespace {

constexpr std::array<std::string_view, 7> methods{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other"};
constexpr std::array all_limits{Limit::connections,  Limit::connections_per_address,
                                Limit::requests,     Limit::uploads,
                                Limit::overload,     Limit::head_bytes,
                                Limit::head_timeout, Limit::idle_timeout,
                                Limit::body_timeout, Limit::answer_timeout};

/// Seconds; from a cached answer to a large blob over a slow line.
const std::vector<double> bounds{0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600};

MetricName named(std::string name, std::string help, const std::string& listener, std::string statsd = {}) {
  return {std::move(name), std::move(help), std::move(statsd), {{"listener", listener}}};
}

}  // namespace

ListenerMetrics::ListenerMetrics(const Metrics& metrics, std::string listener)
    : metrics_(metrics),
      listener_(std::move(listener)),
      seconds_(metrics.timer(
          named("http_request_seconds", "From the head of a request to the last byte of its answer",
                listener_, "latency"),
          bounds)),
      connections_(metrics.gauge(named("http_connections", "Connections that are open", listener_))),
      running_(metrics.gauge(named("http_requests_running", "Requests that are being served", listener_))),
      uploads_(metrics.gauge(
          named("http_uploads_running", "Requests that are bringing a large body", listener_))) {
  for (const Limit limit : all_limits) {
    MetricName name = named("http_limits_total", "Times that a limit was met", listener_);
    name.labels["limit"] = limit_name(limit);
    limits_[static_cast<size_t>(limit)] = metrics.counter(name);
  }
}

void ListenerMetrics::request(std::string_view method, int status, Duration took) {
  constexpr size_t statuses = 1000;
  const auto known = std::find(methods.begin(), methods.end() - 1, method);
  const auto row = static_cast<size_t>(known - methods.begin());
  const size_t column = static_cast<size_t>(std::clamp(status, 0, 999));
  const auto [entry, first] = requests_.try_emplace(row * statuses + column);
  if (first) {
    const std::string code = std::to_string(column);
    MetricName name = named("http_requests_total", "Requests by method and status", listener_, code);
    name.labels["method"] = *known;
    name.labels["code"] = code;
    entry->second = metrics_.counter(name);
  }
  entry->second.add();
  seconds_.observe(to_seconds(took));
}

void ListenerMetrics::limit(Limit limit) const {
  limits_.at(static_cast<size_t>(limit)).add();
}

void ListenerMetrics::show(size_t connections, size_t requests, size_t uploads) const {
  connections_.set(static_cast<double>(connections));
  running_.set(static_cast<double>(requests));
  uploads_.set(static_cast<double>(uploads));
}

}  // namespace krakend::http
