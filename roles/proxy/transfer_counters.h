#pragma once

#include <array>

#include "krakend/core/metrics.h"
#include "krakend/core/units.h"

namespace krakend::proxy {

/// Counts what is asked of a proxy, under the reference's names.
class TransferCounters {
 public:
  explicit TransferCounters(const Metrics& metrics)
      : downloads(metrics.counter(
            {"downloads_total", "Blobs asked for that were not on the disk whole", "download_requests"})),
        download_failures(
            metrics.counter({"download_failures_total", "Blobs that could not be got, not found included",
                             "download_failures"})),
        served(metrics.counter({"served_bytes_total",
                                "Bytes of the blobs that were asked for",
                                "mb_served",
                                {},
                                1.0 / static_cast<double>(MiB)})),
        uploads(metrics.counter({"uploads_total", "Blobs that clients have sent whole", "upload_requests"})),
        uploaded_(
            by_result(metrics, "upload_results_total", "What became of these at the origins", "upload_blob")),
        tags_(
            by_result(metrics, "tag_puts_total", "Tags that were to be set at the build-index", "put_tag")) {}

  void uploaded(bool well) const { uploaded_.at(well ? 1 : 0).add(); }
  void tagged(bool well) const { tags_.at(well ? 1 : 0).add(); }

  Counter downloads;
  Counter download_failures;
  Counter served;
  Counter uploads;

 private:
  using ByResult = std::array<Counter, 2>;
  static ByResult by_result(const Metrics& metrics, const char* name, const char* help, const char* statsd) {
    const auto of = [&](const char* result) {
      return metrics.counter({name, help, statsd, {{"result", result}}});
    };
    return {of("failure"), of("success")};
  }
  ByResult uploaded_;
  ByResult tags_;
};

}  // namespace krakend::proxy
