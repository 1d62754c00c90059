#include "krakend/core/metrics.h"

#include "support/catch.h"

namespace krakend::test {
namespace {

using Catch::Matchers::Contains;

TEST_CASE("numbers are told under their role, in Prometheus' form") {
  const Metrics all;
  const Metrics origin = all.role("origin");
  const Counter blobs = origin.counter({"blobs_total", "Blobs", "blobs"});
  blobs.add(3);
  all.role("proxy").counter({"blobs_total", "Blobs"}).add();
  const Gauge size = origin.gauge({"size_bytes", "Size", "", {{"job", "cache"}}});
  size.set(12);
  CHECK_THAT(all.text(), Contains("# TYPE krakend_blobs_total counter"));
  CHECK_THAT(all.text(), Contains("krakend_blobs_total{role=\"origin\"} 3"));
  CHECK_THAT(all.text(), Contains("krakend_blobs_total{role=\"proxy\"} 1"));
  CHECK_THAT(all.text(), Contains("krakend_size_bytes{job=\"cache\",role=\"origin\"} 12"));
}

TEST_CASE("the same name and labels are the same number") {
  const Metrics metrics;
  metrics.counter({"a_total", "A"}).add();
  metrics.counter({"a_total", "A"}).add();
  CHECK_THAT(metrics.text(), Contains("krakend_a_total 2"));
}

TEST_CASE("statsd gets what counters grew by, and gauges only when they were set") {
  const Metrics metrics = Metrics().role("origin");
  const Counter hits = metrics.counter({"hits_total", "Hits", "blob_memory_cache.get_hit"});
  const Gauge size = metrics.gauge({"size_bytes", "Size", "blob_memory_cache.total_size_bytes"});
  metrics.counter({"own_total", "Not the reference's"}).add();
  CHECK(metrics.changes().empty());
  hits.add(2);
  size.set(7.9);
  const auto changes = metrics.changes();
  REQUIRE(changes.size() == 2);
  CHECK(changes[0].name == "blob_memory_cache.get_hit");
  CHECK(changes[0].kind == "c");
  CHECK(changes[0].value == "2");
  CHECK(changes[1].kind == "g");
  CHECK(changes[1].value == "7");
  CHECK(metrics.changes().empty());
  hits.add();
  CHECK(metrics.changes().at(0).value == "1");
}

TEST_CASE("timers: a histogram of seconds, and milliseconds for statsd once somebody listens") {
  const Metrics metrics = Metrics().role("origin");
  const Histogram latency = metrics.timer({"wait_seconds", "Waits", "latency"}, {0.1, 1});
  latency.observe(0.05);
  CHECK(metrics.changes().empty());  // nobody had asked before
  for (const double seconds : {0.0125, 0.5}) latency.observe(seconds);
  CHECK_THAT(metrics.text(), Contains("krakend_wait_seconds_bucket{role=\"origin\",le=\"0.1\"} 2"));
  CHECK_THAT(metrics.text(), Contains("krakend_wait_seconds_count{role=\"origin\"} 3"));
  const auto changes = metrics.changes();
  REQUIRE(changes.size() == 2);
  CHECK(changes[0].name + ":" + changes[0].value + "|" + changes[0].kind == "latency:12.500000|ms");
  for (size_t i = 0; i < 2 * Metrics::max_timings; ++i) latency.observe(0.001);
  CHECK(metrics.changes().size() == Metrics::max_timings);
}

TEST_CASE("what costs something is counted when somebody asks") {
  const Metrics metrics;
  int asked = 0;
  metrics.on_read([&asked, gauge = metrics.gauge({"asked", "Times"})] { gauge.set(++asked); });
  CHECK_THAT(metrics.text(), Contains("krakend_asked 1"));
  CHECK_THAT(metrics.text(), Contains("krakend_asked 2"));
}

TEST_CASE("a number outlives where it is read from") {
  const Counter counter = Metrics().counter({"a_total", "A"});
  counter.add();
}

TEST_CASE("a number that nobody made counts for nobody") {
  Counter().add();
  Gauge().set(1);
}

}  // namespace
}  // namespace krakend::test
