#pragma once

#include "krakend/core/metrics.h"

namespace krakend::proxy {

/// Counts what is fetched ahead, under the reference's names.
struct PrefetchCounters {
  explicit PrefetchCounters(const Metrics& metrics)
      : requests(metrics.counter(
            {"prefetch_requests_total", "Images that were to be prefetched", "prefetch.requests"})),
        initiated(metrics.counter(
            {"prefetch_initiated_total", "Prefetches that were answered 200", "prefetch.initiated"})),
        failed(metrics.counter(
            {"prefetch_failed_total", "Prefetches that were answered with an error", "prefetch.failed"})),
        tag_errors(metrics.counter({"prefetch_tag_errors_total",
                                    "Tags to be prefetched that could not be looked up, not found included",
                                    "prefetch.get_tag_error"})),
        manifest_errors(metrics.counter({"prefetch_manifest_errors_total",
                                         "Manifests to be prefetched that could not be got or read",
                                         "prefetch.download_manifest_error"})),
        bytes(metrics.counter({"prefetch_bytes_total",
                               "Bytes of prefetched blobs that came from the origins and were discarded",
                               "prefetch.bytes_downloaded"})),
        blobs(metrics.counter({"prefetch_blobs_total", "Prefetched blobs that came whole, and were discarded",
                               "prefetch.blobs_downloaded"})),
        blob_failures(metrics.counter({"prefetch_blob_failures_total",
                                       "Blobs to be prefetched that the origins did not give or fetch"})),
        too_small(skipped(metrics, "too_small", "prefetch.blobs_skipped_too_small")),
        too_large(skipped(metrics, "too_large", "prefetch.blobs_skipped_too_large")),
        events(metrics.counter({"preheat_events_total", "Pushes of images that a registry has told of"})),
        event_failures(metrics.counter(
            {"preheat_event_failures_total", "Such pushes whose manifest could not be got or read"})),
        blob_seconds(metrics.timer({"prefetch_blob_seconds", "Until a prefetched blob was there whole",
                                    "prefetch.blob_download_time"},
                                   {0.01, 0.1, 1, 10, 100})),
        manifest_seconds(
            metrics.histogram({"prefetch_manifest_seconds", "Until the manifest of a prefetch was there",
                               "prefetch.download_manifest_latency"},
                              exponential_bounds(std::chrono::seconds(1), 2, 12))),
        tag_seconds(metrics.histogram(
            {"prefetch_tag_seconds", "Until the tag of a prefetch was looked up", "prefetch.get_tag_latency"},
            exponential_bounds(std::chrono::milliseconds(100), 2, 10))) {}

  Counter requests;
  Counter initiated;
  Counter failed;
  Counter tag_errors;
  Counter manifest_errors;
  Counter bytes;
  Counter blobs;
  Counter blob_failures;
  Counter too_small;
  Counter too_large;
  Counter events;
  Counter event_failures;
  Histogram blob_seconds;
  Histogram manifest_seconds;
  Histogram tag_seconds;

 private:
  static Counter skipped(const Metrics& metrics, const char* why, const char* statsd) {
    return metrics.counter({"prefetch_blobs_skipped_total",
                            "Blobs outside the sizes that are to be prefetched",
                            statsd,
                            {{"reason", why}}});
  }
};

}  // namespace krakend::proxy
