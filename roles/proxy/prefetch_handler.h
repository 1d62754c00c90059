#pragma once

#include <string>
#include <vector>

#include "krakend/http/server.h"
#include "roles/proxy/blob_line.h"
#include "roles/proxy/image_reader.h"
#include "roles/proxy/proxy.h"
#include "roles/proxy/turns.h"

namespace krakend::proxy {

/// Brings the blobs of an image to the origins before anybody pulls it (contract http-api §8.3). Version 1
/// downloads them in the background and discards what comes; version 2 has the origins fetch them, and
/// answers when all of them have them or have begun. Loop thread.
class PrefetchHandler {
 public:
  struct Parts {
    io::Clock& clock;
    api::OriginCluster& origins;
    ImageReader& reader;
    Turns& reading;       ///< images whose blobs are being found out
    BlobLine& downloads;  ///< of version 1
    BlobLine& triggers;   ///< of version 2
    const PrefetchCounters& counters;
  };
  PrefetchHandler(Parts parts, PrefetchOptions options, Logger log)
      : parts_(parts), options_(options), log_(std::move(log)) {}
  void add_routes(http::Router& router);
  void configure(PrefetchOptions options) { options_ = options; }

 private:
  /// What is left of an image between the sizes.
  struct Image {
    ImageName name;
    std::string label;  ///< in the log
    std::vector<Digest> blobs;
  };
  /// Success or failure of a whole request; the error's status is that of the answer.
  using Outcome = Result<ImageName>;
  using Version = Task<Outcome> (PrefetchHandler::*)(PrefetchRequest);

  Task<http::Response> download_all(http::Request& request);
  Task<http::Response> trigger_all(http::Request& request);
  Task<http::Response> serve(http::Request& request, Version version);
  Task<Result<PrefetchRequest>> read_request(http::Request& request) const;
  Task<Result<Image>> collect(PrefetchRequest request);
  Task<Outcome> begin_downloads(PrefetchRequest request);
  Task<Outcome> await_triggers(PrefetchRequest request);
  Task<Result<void>> download(std::string ns, Digest digest);
  Task<Result<void>> trigger(std::string ns, Digest digest);
  /// Also counts and logs.
  http::Response answer(const PrefetchRequest& request, const Outcome& outcome) const;
  std::vector<Digest> of_right_size(const std::vector<ImageReader::Blob>& blobs) const;

  const Parts parts_;
  PrefetchOptions options_;
  Logger log_;
};

}  // namespace krakend::proxy
