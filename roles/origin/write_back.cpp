#include "roles/origin/write_back.h"

#include <utility>

namespace krakend::origin {

WriteBack::WriteBack(Services services, Logger log)
    : services_(services), log_(std::move(log)), flights_(services.loop, services.clock, {}) {}

Task<Result<void>> WriteBack::write(std::string ns, Digest digest) {
  std::function<Task<Result<bool>>()> once = [this, ns, digest] { return write_once(ns, digest); };
  auto done = co_await flights_.get(digest.hex() + ns, once);
  if (!done) co_return propagate(done);
  co_return Result<void>{};
}

Task<Result<bool>> WriteBack::write_once(std::string ns, Digest digest) {
  auto copied = co_await copy(ns, digest);
  if (!copied) {
    log_.error("write-back of {} failed: {}", digest.str(), copied.error().message);
    auto flagged = co_await services_.store.set_persist(digest, true);
    if (!flagged)
      log_.warn("{} cannot be protected from deletion: {}", digest.str(), flagged.error().message);
    co_return fail(copied.error().code, "write back {}: {}", digest.str(), copied.error().message);
  }
  auto flagged = co_await services_.store.persist(digest);
  if (flagged && *flagged) {
    auto cleared = co_await services_.store.set_persist(digest, false);
    if (!cleared) log_.warn("{} stays protected from deletion: {}", digest.str(), cleared.error().message);
  }
  co_return true;
}

Task<Result<void>> WriteBack::copy(std::string ns, Digest digest) {
  auto backend = services_.backends.find(ns);
  if (!backend) {
    log_.warn("{} is not written back: no backend matches namespace {}", digest.str(), ns);
    co_return Result<void>{};
  }
  auto there = co_await (*backend)->stat(digest.hex());
  if (there) co_return Result<void>{};
  auto blob = co_await services_.store.open(digest);
  if (!blob) co_return propagate(blob);
  co_return co_await (*backend)->upload(digest.hex(), (*blob)->file(), services_.store.data_path(digest));
}

}  // namespace krakend::origin
