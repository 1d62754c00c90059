#include "roles/origin/remote_handler.h"

#include <utility>

#include "krakend/api/clients.h"
#include "krakend/api/requests.h"
#include "krakend/io/net.h"

namespace krakend::origin {
namespace {

/// An origin that dies in the middle of a commit says nothing: over a long line its death is not noticed
/// otherwise. One that commits more slowly is asked again, and has the blob then.
Duration commit_limit(uint64_t size) {
  constexpr uint64_t least_rate = 10'000'000;  // bytes a second
  return 60s + std::chrono::seconds(size / least_rate);
}

}  // namespace

RemoteHandler::RemoteHandler(Services services, Logger log)
    : services_(services), log_(std::move(log)), ended_(services.loop) {}

void RemoteHandler::add_routes(http::Router& router) {
  router.add("POST", "/namespace/{namespace}/blobs/{digest}/remote/{remote}",
             api::bind(this, &RemoteHandler::replicate));
}

Task<http::Response> RemoteHandler::replicate(http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  const Key key(api::param(request, "namespace"), *digest, api::param(request, "remote"));
  if (auto address = io::Address::parse(std::get<2>(key)); !address)
    co_return http::error_response(address.error());
  CopyPtr copy = find(key);
  if (!copy) {
    auto blob = co_await open(std::get<0>(key), *digest);
    if (!blob) co_return refresh_response(blob.error());
    copy = find(key);
    if (!copy && copies_.size() >= max_copies)
      co_return http::text_response(
          503, fmt::format("{} copies to other clusters at once are the limit", copies_.size()));
    if (!copy) {
      copy = copies_[key] = std::make_shared<Copy>();
      services_.tasks.spawn(run(copy, key, std::move(*blob)), "copy to another cluster");
    }
  }
  const TimePoint limit = services_.clock.now() + wait_limit;
  while (!copy->outcome && services_.clock.now() < limit)
    (void)co_await ended_.wait_for(services_.clock, limit - services_.clock.now());
  if (!copy->outcome) co_return http::text_response(202);
  if (!*copy->outcome) co_return api::error_with_status(500, copy->outcome->error());
  co_return http::text_response(200);
}

Task<Result<storage::BlobPtr>> RemoteHandler::open(std::string ns, Digest digest) {
  co_await services_.leases.use(digest);
  auto blob = co_await services_.store.open(digest);
  if (!blob && blob.error().code == Errc::not_found) {
    auto refreshed = co_await services_.refresher.refresh(std::move(ns), digest, false);
    if (!refreshed) co_return propagate(refreshed);
    blob = co_await services_.store.open(digest);
  }
  if (!blob) co_return blob;
  auto good = co_await (*blob)->check();
  if (!good) co_return propagate(good);
  co_return blob;
}

Task<> RemoteHandler::run(CopyPtr copy, Key key, storage::BlobPtr blob) {
  const auto& [ns, digest, remote] = key;
  const std::pair<Digest, std::string> what(digest, remote);
  while (sending_.contains(what)) co_await ended_.wait();
  sending_.insert(what);
  // Whatever ends this, those who wait are told.
  struct Ended {
    RemoteHandler& handler;
    Copy& copy;
    const std::pair<Digest, std::string>& what;
    ~Ended() {
      handler.sending_.erase(what);
      if (!copy.outcome) copy.outcome = fail(Errc::cancelled, "the copy was given up");
      copy.ended = handler.services_.clock.now();
      handler.ended_.notify_all();
    }
  } const ended{*this, *copy, what};
  std::vector<std::string> hosts{remote};
  api::OriginCluster cluster({services_.loop, services_.client, services_.clock, services_.random},
                             std::move(hosts), log_);
  auto sent = co_await cluster.upload(ns, digest, blob->file(), blob->size(), commit_limit(blob->size()));
  if (sent)
    log_.info("{} replicated to the cluster at {}", digest.str(), remote);
  else
    log_.debug("{} is not replicated to the cluster at {}: {}", digest.str(), remote, sent.error().message);
  copy->outcome = std::move(sent);
}

RemoteHandler::CopyPtr RemoteHandler::find(const Key& key) {
  forget_old();
  const auto found = copies_.find(key);
  return found == copies_.end() ? nullptr : found->second;
}

void RemoteHandler::forget_old() {
  const TimePoint now = services_.clock.now();
  std::erase_if(copies_, [now](const auto& entry) {
    return entry.second->outcome && now - entry.second->ended > outcome_memory;
  });
}

}  // namespace krakend::origin
