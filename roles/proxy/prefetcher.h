#pragma once

#include "krakend/api/clients.h"
#include "krakend/api/services.h"
#include "roles/proxy/prefetch_handler.h"
#include "roles/proxy/preheat_handler.h"

namespace krakend::proxy {

/// Everything that brings images to the origins before they are pulled, and what runs for it in the
/// background. Loop thread.
class Prefetcher {
 public:
  Prefetcher(const api::Services& services, api::OriginCluster& origins, api::TagClient& tags,
             const ProxyOptions& options, const Logger& log);
  /// The endpoints for whoever wants an image prefetched.
  void add_routes(http::Router& router) { prefetch_.add_routes(router); }
  /// The endpoint for registries. Only for a listener that is not open to everybody: it asks for whatever it
  /// is told.
  void add_notifications(http::Router& router) { preheat_.add_routes(router); }
  void configure(const PrefetchOptions& options) { prefetch_.configure(options); }
  /// Ends what runs in the background; awaited before destruction.
  Task<> stop();

 private:
  const PrefetchCounters counters_;
  ImageReader reader_;
  Turns reading_;
  BlobLine downloads_;
  BlobLine triggers_;
  PrefetchHandler prefetch_;
  PreheatHandler preheat_;
};

}  // namespace krakend::proxy
