#include "roles/proxy/prefetcher.h"

namespace krakend::proxy {
namespace {

/// Images whose manifests are being read, and requests that wait for that.
constexpr size_t images_at_once = 16;
constexpr size_t images_waiting_max = 240;
/// Calls at once. Together fewer than the calls that a role makes at once among several in one process, so
/// that pushes and pulls go on.
constexpr size_t downloads_at_once = 3;
constexpr size_t triggers_at_once = 5;
constexpr size_t blobs_waiting_max = 65'536;

/// Gauges of one line; the metrics read it as long as they live.
void show(const Metrics& metrics, const BlobLine& line, const char* how) {
  const Gauge running = metrics.gauge(
      {"prefetch_blobs_running", "Blobs that are being brought to the origins", "", {{"how", how}}});
  const Gauge waiting = metrics.gauge(
      {"prefetch_blobs_waiting", "Blobs that are to be brought to the origins", "", {{"how", how}}});
  metrics.on_read([&line, running, waiting] {
    running.set(static_cast<double>(line.running()));
    waiting.set(static_cast<double>(line.waiting()));
  });
}

}  // namespace

Prefetcher::Prefetcher(const api::Services& services, api::OriginCluster& origins, api::TagClient& tags,
                       const ProxyOptions& options, const Logger& log)
    : counters_(services.metrics),
      reader_({services.loop, services.clock, origins, tags, counters_}, options.registry.manifest_size_max),
      reading_(services.loop, images_at_once, images_waiting_max),
      downloads_(services.loop, {downloads_at_once, blobs_waiting_max}, log),
      triggers_(services.loop, {triggers_at_once, blobs_waiting_max}, log),
      prefetch_({services.clock, origins, reader_, reading_, downloads_, triggers_, counters_},
                options.prefetch, log),
      preheat_({services.clock, origins, reader_, reading_, triggers_, counters_}, log) {
  show(services.metrics, downloads_, "download");
  show(services.metrics, triggers_, "trigger");
}

Task<> Prefetcher::stop() {
  co_await downloads_.stop();
  co_await triggers_.stop();
}

}  // namespace krakend::proxy
