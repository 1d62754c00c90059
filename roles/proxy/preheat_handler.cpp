#include "roles/proxy/preheat_handler.h"

#include <array>
#include <utility>

#include "krakend/api/requests.h"

namespace krakend::proxy {
namespace {

/// Some hundred events; a registry sends one or a few at a time.
constexpr uint64_t max_body = 256 * KiB;
/// Before each further attempt to get a manifest that is not there (contract http-api §8.2).
constexpr std::array<Duration, 3> manifest_pauses{100ms, 200ms, 400ms};

}  // namespace

void PreheatHandler::add_routes(http::Router& router) {
  router.add("POST", "/registry/notifications", api::bind(this, &PreheatHandler::notify));
}

Task<http::Response> PreheatHandler::notify(http::Request& request) {
  auto body = co_await request.body->text(max_body);
  if (!body) co_return http::text_response(500, "read body: " + body.error().message);
  auto pushed = pushed_manifests(*body);
  if (!pushed) {
    log_.warn("notification: {}", pushed.error().message);
    co_return http::text_response(500, "decode body: " + pushed.error().message);
  }
  auto turn = co_await parts_.reading.take();
  if (!turn) co_return api::error_with_status(503, turn.error());
  for (const PushedManifest& manifest : *pushed) {
    parts_.counters.events.add();
    auto done = co_await preheat(manifest);
    if (done) continue;
    parts_.counters.event_failures.add();
    log_.warn("preheat of {} {}: {}", manifest.repository, manifest.digest, done.error().message);
  }
  co_return http::text_response(200);
}

Task<Result<void>> PreheatHandler::preheat(PushedManifest pushed) {
  auto digest = Digest::parse(pushed.digest);
  if (!digest) co_return propagate(digest);
  if (pushed.repository.empty()) co_return fail(Errc::invalid_argument, "the event names no repository");
  auto blobs = co_await references(pushed.repository, *digest);
  if (!blobs) co_return propagate(blobs);
  std::vector<Digest> digests;
  for (const ImageReader::Blob& blob : *blobs) digests.push_back(blob.digest);
  BlobLine::Call call = [this, ns = pushed.repository](Digest wanted) { return trigger(ns, wanted); };
  auto added = parts_.triggers.add(fmt::format("preheat of {} {}", pushed.repository, digest->str()),
                                   std::move(digests), std::move(call));
  if (!added) co_return propagate(added);
  co_return Result<void>{};
}

Task<Result<std::vector<ImageReader::Blob>>> PreheatHandler::references(std::string repository,
                                                                        Digest manifest) {
  for (size_t retry = 0;; ++retry) {
    auto blobs = co_await parts_.reader.references(repository, manifest);
    if (blobs || blobs.error().code != Errc::not_found || retry == manifest_pauses.size()) co_return blobs;
    co_await parts_.clock.sleep(manifest_pauses.at(retry));
  }
}

Task<Result<void>> PreheatHandler::trigger(std::string ns, Digest digest) {
  auto metainfo = co_await parts_.origins.metainfo(std::move(ns), digest);
  if (metainfo || metainfo.error().code == Errc::pending) co_return Result<void>{};
  parts_.counters.blob_failures.add();
  co_return propagate(metainfo);
}

}  // namespace krakend::proxy
