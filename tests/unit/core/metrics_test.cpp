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
  CHECK(metrics.changes().empty());  // nobody had asked for them
  metrics.keep_timings();
  metrics.timer({"later_seconds", "Made later", "later"}, {1}).observe(2);
  CHECK(metrics.changes().at(0).name == "later");
  for (const double seconds : {0.0125, 0.5}) latency.observe(seconds);
  CHECK_THAT(metrics.text(), Contains("krakend_wait_seconds_bucket{role=\"origin\",le=\"0.1\"} 2"));
  CHECK_THAT(metrics.text(), Contains("krakend_wait_seconds_count{role=\"origin\"} 3"));
  const auto changes = metrics.changes();
  REQUIRE(changes.size() == 2);
  CHECK(changes[0].name + ":" + changes[0].value + "|" + changes[0].kind == "latency:12.500000|ms");
  for (size_t i = 0; i < 2 * Metrics::max_timings; ++i) latency.observe(0.001);
  CHECK(metrics.changes().size() == Metrics::max_timings);
  CHECK_THAT(metrics.text(), Contains("krakend_statsd_timings_dropped_total{role=\"origin\"} " +
                                      std::to_string(Metrics::max_timings)));
}

/// "name:value" of everything that has changed.
std::vector<std::string> lines(const Metrics& metrics) {
  std::vector<std::string> all;
  for (const StatsdSample& sample : metrics.changes()) {
    CHECK(sample.kind == "c");
    all.push_back(sample.name + ":" + sample.value);
  }
  return all;
}

using Lines = std::vector<std::string>;

TEST_CASE("histograms: statsd gets what each bucket grew by, under the names of its ends as Go writes them") {
  const Metrics metrics = Metrics().role("origin");
  const Histogram times = metrics.histogram({"upload_seconds", "Uploads", "upload"},
                                            std::vector<Duration>{0s, 100ms, 1400ms, 1min, 90s, 1h});
  CHECK(lines(metrics).empty());
  for (const double seconds : {0.0, 0.1, 0.2, 1.4, 60.0, 61.0, 3600.0, 5000.0, 9000.0})
    times.observe(seconds);
  CHECK(lines(metrics) == Lines{"upload.-infinity-0s:1", "upload.0s-100ms:1", "upload.100ms-1.4s:2",
                                "upload.1.4s-1m0s:1", "upload.1m0s-1m30s:1", "upload.1m30s-1h0m0s:1",
                                "upload.1h0m0s-infinity:2"});
  CHECK(lines(metrics).empty());
  times.observe(1);
  CHECK(lines(metrics) == Lines{"upload.100ms-1.4s:1"});
  CHECK_THAT(metrics.text(), Contains("krakend_upload_seconds_bucket{role=\"origin\",le=\"1.4\"} 5"));
}

TEST_CASE("histograms: of numbers, with six digits in the names") {
  const Metrics metrics = Metrics().role("tracker");
  const Histogram peers = metrics.histogram({"peers", "Peers", "origin_seeders"}, counting_bounds(3));
  for (const double count : {0.0, 1.0, 1.0, 2.0, 7.0}) peers.observe(count);
  CHECK(lines(metrics) == Lines{"origin_seeders.-infinity-0.000000:1", "origin_seeders.0.000000-1.000000:2",
                                "origin_seeders.1.000000-2.000000:1", "origin_seeders.2.000000-infinity:1"});
}

TEST_CASE("histograms: each bound is cut to whole nanoseconds before the next one") {
  CHECK(exponential_bounds(1s, 1.4, 4) == std::vector<Duration>{1s, 1400ms, 1959999999ns, 2743999998ns});
  CHECK(exponential_bounds(3ns, 1.5, 4) == std::vector<Duration>{3ns, 4ns, 6ns, 9ns});
}

TEST_CASE("counters: where statsd counts in another unit, nothing is lost between two reports") {
  const Metrics metrics = Metrics().role("agent");
  const Counter served = metrics.counter({"served_bytes_total", "Served", "mb_served", {}, 1.0 / 1024});
  served.add(1000);
  CHECK(lines(metrics).empty());
  served.add(1100);
  CHECK(lines(metrics) == Lines{"mb_served:2"});
  CHECK_THAT(metrics.text(), Contains("krakend_served_bytes_total{role=\"agent\"} 2100"));
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
