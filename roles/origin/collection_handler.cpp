#include "roles/origin/collection_handler.h"

#include <memory>
#include <utility>

#include "krakend/api/requests.h"
#include "krakend/core/units.h"
#include "krakend/io/parallel.h"

namespace krakend::origin {
namespace {

constexpr uint64_t request_size_max = MiB;
/// Blobs of one request that are worked on at once.
constexpr size_t parallel_blobs = 8;

}  // namespace

void CollectionHandler::add_routes(http::Router& router) {
  using api::bind;
  using C = CollectionHandler;
  router.add("GET", "/x/gc/blobs", bind(this, &C::blobs))
      .add("POST", "/x/gc/freeze", bind(this, &C::freeze))
      .add("POST", "/x/gc/sweep", bind(this, &C::sweep))
      .add("POST", "/x/gc/release", bind(this, &C::release));
}

Task<http::Response> CollectionHandler::blobs(http::Request& request) {
  auto with_backend = api::bool_query(request, "backend");
  if (!with_backend) co_return http::error_response(with_backend.error());
  api::BlobInventory inventory;
  inventory.cluster = services_.ring.members();
  auto cached = co_await services_.store.list();
  if (!cached) co_return api::error_with_status(500, cached.error());
  inventory.cached = std::move(*cached);
  const std::string ns = request.query_param("namespace").value_or("");
  auto backend = services_.backends.find(ns);
  if (*with_backend && backend) {
    auto names = co_await (*backend)->list("");
    if (!names) co_return api::error_with_status(500, names.error());
    for (const std::string& name : *names) {
      // Whatever else lies there is not ours to remove.
      if (auto digest = Digest::parse_hex(name)) inventory.stored.push_back(*digest);
    }
  }
  const api::BlobInventory* list = &inventory;
  co_return http::json_response(200, co_await services_.loop.offload([&] { return list->json(); }));
}

struct CollectionHandler::Work {
  api::CollectionRequest request;
  Act act;
  api::CollectionAnswer answer;
};

Task<> CollectionHandler::act_on(std::shared_ptr<Work> work, size_t index) {
  const Digest digest = work->request.digests[index];
  auto done = co_await work->act(work->request, digest);
  if (done)
    work->answer.done[digest] = *done;
  else
    work->answer.refused[digest] = done.error().message;
}

Task<http::Response> CollectionHandler::for_each(http::Request& request, Act act) {
  auto body = co_await request.body->text(request_size_max);
  if (!body) co_return http::error_response(body.error());
  auto parsed = api::CollectionRequest::parse(*body);
  if (!parsed) co_return api::error_with_status(400, parsed.error());
  const auto work = std::make_shared<Work>(Work{std::move(*parsed), std::move(act), {}});
  std::function<Task<>(size_t)> one = [work](size_t index) { return act_on(work, index); };
  const size_t count = work->request.digests.size();
  const bool all = co_await io::run_parallel(services_.loop, services_.tasks, count, parallel_blobs, one);
  if (!all) co_return http::text_response(503, "shutting down");
  co_return http::json_response(200, work->answer.json());
}

Task<http::Response> CollectionHandler::freeze(http::Request& request) {
  Act act = [this](const api::CollectionRequest& wanted, Digest digest) {
    return freeze_one(wanted, digest);
  };
  return for_each(request, std::move(act));
}

Task<http::Response> CollectionHandler::sweep(http::Request& request) {
  Act act = [this](const api::CollectionRequest& wanted, Digest digest) { return sweep_one(wanted, digest); };
  return for_each(request, std::move(act));
}

Task<http::Response> CollectionHandler::release(http::Request& request) {
  Act act = [this](const api::CollectionRequest& /*wanted*/, Digest digest) { return release_one(digest); };
  return for_each(request, std::move(act));
}

Task<Result<uint64_t>> CollectionHandler::size_of(const api::CollectionRequest& request, Digest digest) {
  auto size = co_await services_.store.size(digest);
  if (size || size.error().code != Errc::not_found) co_return size;
  if (request.backend) size = co_await services_.refresher.stat(request.ns, digest);
  if (!size && size.error().code == Errc::not_found) co_return uint64_t{0};
  co_return size;
}

Task<Result<uint64_t>> CollectionHandler::freeze_one(const api::CollectionRequest& request, Digest digest) {
  auto size = co_await size_of(request, digest);
  if (!size) co_return size;
  auto persist = co_await services_.store.persist(digest);
  if (persist && *persist) {
    // Mostly another owner has written it back long ago, and this one only waits for its turn to see that.
    auto finished = co_await services_.write_back.finish(digest);
    if (!finished) co_return fail(Errc::conflict, "not written back yet: {}", finished.error().message);
    persist = co_await services_.store.persist(digest);
  }
  if (!persist) co_return propagate(persist);
  if (*persist) co_return fail(Errc::conflict, "not written back yet");
  // Nothing may come between these looks and the freeze.
  if (services_.refresher.fetching(digest)) co_return fail(Errc::conflict, "being fetched from the backend");
  auto frozen = request.dry_run ? services_.leases.check(digest, request.unused_for)
                                : services_.leases.freeze(digest, request.unused_for);
  if (!frozen) co_return propagate(frozen);
  co_return size;
}

Task<Result<uint64_t>> CollectionHandler::sweep_one(const api::CollectionRequest& request, Digest digest) {
  if (!services_.leases.frozen(digest)) co_return fail(Errc::conflict, "not frozen, or nearly thawed again");
  if (!request.backend) {
    auto size = co_await services_.store.size(digest);
    auto removed = co_await services_.engine.remove(digest);
    if (!removed && removed.error().code != Errc::not_found) co_return propagate(removed);
    if (size) log_.info("garbage: {} removed from the cache", digest.str());
    co_return size.value_or(0);
  }
  auto backend = services_.backends.find(request.ns);
  if (!backend) co_return uint64_t{0};
  auto removed = co_await (*backend)->remove(digest.hex());
  if (!removed && removed.error().code == Errc::not_found) co_return uint64_t{0};
  if (!removed) co_return propagate(removed);
  log_.info("garbage: {} removed from the backend", digest.str());
  co_return uint64_t{0};
}

Task<Result<uint64_t>> CollectionHandler::release_one(Digest digest) {
  services_.leases.release(digest);
  co_return uint64_t{0};
}

}  // namespace krakend::origin
