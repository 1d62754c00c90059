#include "roles/origin/remote_handler.h"

#include <utility>

#include "krakend/api/clients.h"
#include "krakend/api/requests.h"
#include "krakend/io/net.h"

namespace krakend::origin {

void RemoteHandler::add_routes(http::Router& router) {
  router.add("POST", "/namespace/{namespace}/blobs/{digest}/remote/{remote}",
             api::bind(this, &RemoteHandler::replicate));
}

Task<http::Response> RemoteHandler::replicate(http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  const std::string ns = api::param(request, "namespace");
  const std::string remote = api::param(request, "remote");
  if (auto address = io::Address::parse(remote); !address) co_return http::error_response(address.error());
  co_await services_.leases.use(*digest);
  auto blob = co_await services_.store.open(*digest);
  if (!blob && blob.error().code == Errc::not_found) {
    auto refreshed = co_await services_.refresher.refresh(ns, *digest, false);
    if (!refreshed) co_return refresh_response(refreshed.error());
    blob = co_await services_.store.open(*digest);
  }
  if (blob) {
    auto good = co_await (*blob)->check();
    if (!good) blob = fail(good.error());
  }
  if (!blob) co_return refresh_response(blob.error());
  std::vector<std::string> hosts{remote};
  api::OriginCluster cluster({services_.loop, services_.client, services_.clock, services_.random},
                             std::move(hosts), log_);
  auto sent = co_await cluster.upload(ns, *digest, (*blob)->file(), (*blob)->size());
  if (!sent) co_return api::error_with_status(500, sent.error());
  log_.info("{} replicated to the cluster at {}", digest->str(), remote);
  co_return http::text_response(200);
}

}  // namespace krakend::origin
