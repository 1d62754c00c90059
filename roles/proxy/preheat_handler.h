#pragma once

#include <string>

#include "krakend/http/server.h"
#include "roles/proxy/blob_line.h"
#include "roles/proxy/image_reader.h"
#include "roles/proxy/notification.h"
#include "roles/proxy/turns.h"

namespace krakend::proxy {

/// Takes the notifications of a docker-distribution registry: the origins fetch what was pushed there, before
/// anybody pulls it (contract http-api §8.2). Loop thread.
class PreheatHandler {
 public:
  struct Parts {
    io::Clock& clock;
    api::OriginCluster& origins;
    ImageReader& reader;
    Turns& reading;
    BlobLine& triggers;
    const PrefetchCounters& counters;
  };
  PreheatHandler(Parts parts, Logger log) : parts_(parts), log_(std::move(log)) {}
  void add_routes(http::Router& router);

 private:
  /// 200 once the manifests have been read; what fails is only logged. 500: the body cannot be read; 503: the
  /// registry sends it again.
  Task<http::Response> notify(http::Request& request);
  Task<Result<void>> preheat(PushedManifest pushed);
  /// The blobs of a manifest that may still be on its way to the origins.
  Task<Result<std::vector<ImageReader::Blob>>> references(std::string repository, Digest manifest);
  Task<Result<void>> trigger(std::string ns, Digest digest);

  const Parts parts_;
  Logger log_;
};

}  // namespace krakend::proxy
