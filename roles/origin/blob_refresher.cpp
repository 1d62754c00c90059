#include "roles/origin/blob_refresher.h"

#include <utility>

#include "krakend/api/requests.h"
#include "krakend/core/units.h"
#include "roles/origin/origin.h"

namespace krakend::origin {
namespace {

constexpr unsigned resumes_max = 5;
/// Held back from readers until the digest of the whole is known to be right.
constexpr uint64_t holdback = 64 * KiB;
/// How often a reader looks whether more has arrived.
constexpr Duration arrival_poll = 20ms;

}  // namespace

http::Response refresh_response(const Error& error) {
  if (error.code == Errc::pending) return http::text_response(202);
  if (error.code == Errc::not_found) return http::text_response(404);
  if (error.code == Errc::unavailable || error.code == Errc::no_space) return http::text_response(503);
  return api::error_with_status(500, error);
}

BlobRefresher::BlobRefresher(Services services, std::map<uint64_t, uint64_t> piece_lengths,
                             uint64_t size_limit, Logger log)
    : services_(services),
      piece_lengths_(std::move(piece_lengths)),
      size_limit_(size_limit),
      log_(std::move(log)),
      fetch_ended_(services.loop),
      fetched_(
          services.metrics.counter({"blob_fetches_total", "Blobs fetched from a backend or another origin"})),
      failed_(services.metrics.counter({"blob_fetch_failures_total", "Fetches of blobs that failed"})) {
  services.metrics.on_read(
      [this, running = services.metrics.gauge(
                 {"blob_fetches_running", "Blobs that are being fetched", "num_requests"})] {
        running.set(static_cast<double>(fetches_.size()));
      });
}

Result<backend::BackendPtr> BlobRefresher::backend_for(const std::string& ns) const {
  auto found = services_.backends.find(ns);
  if (!found) return fail(Errc::internal, "no backend for namespace {}: {}", ns, found.error().message);
  return found;
}

Task<Result<uint64_t>> BlobRefresher::stat(std::string ns, Digest digest) const {
  auto backend = backend_for(ns);
  if (!backend) co_return propagate(backend);
  co_return co_await (*backend)->stat(digest.hex());
}

Task<Result<void>> BlobRefresher::refresh(std::string ns, Digest digest, bool share) {
  const auto running = fetches_.find(digest);
  if (running != fetches_.end()) co_return co_await wait_for(running->second);
  if (const Error* failure = remembered_failure(digest)) co_return fail(*failure);
  auto backend = backend_for(ns);
  if (!backend) co_return propagate(backend);
  auto size = co_await (*backend)->stat(digest.hex());
  // What is not written back yet, or whose backend is away, may be at another owner.
  Source source{ns, *backend, {}, share};
  if (!size) {
    auto copy = co_await services_.replicator.find(ns, digest);
    if (!copy) co_return propagate(size);
    size = copy->size;
    source.copy = std::move(*copy);
  }
  if (size_limit_ != 0 && *size > size_limit_) {
    co_return fail(Errc::internal, "{} blob exceeds size limit of {}", format_size(*size),
                   format_size(size_limit_));
  }

  // Another request may have started it during the stat.
  const auto started = fetches_.find(digest);
  if (started != fetches_.end()) co_return co_await wait_for(started->second);
  auto slot = co_await wait_for_slot();
  if (!slot) co_return slot;
  const auto meanwhile = fetches_.find(digest);
  if (meanwhile != fetches_.end()) co_return co_await wait_for(meanwhile->second);
  auto fetch = std::make_shared<Fetch>(services_.loop);
  fetch->size = *size;
  fetches_[digest] = fetch;
  services_.tasks.spawn(run(fetch, std::move(source), digest, *size), "refresh of " + digest.str());
  co_return co_await wait_for(fetch);
}

Task<Result<void>> BlobRefresher::wait_for(FetchPtr fetch) {
  const TimePoint deadline = services_.clock.now() + wait_limit;
  while (!fetch->done) {
    const Duration left = deadline - services_.clock.now();
    if (left <= Duration::zero()) co_return fail(Errc::pending, "being fetched from the backend");
    co_await fetch->ended.wait_for(services_.clock, left);
  }
  co_return fetch->outcome;
}

Task<> BlobRefresher::run(FetchPtr fetch, Source source, Digest digest, uint64_t size) {
  const uint64_t piece_length = piece_length_for(piece_lengths_, size);
  // One owner gets it from the backend for all: this one follows it, and helps itself where that fails.
  const std::string first = services_.replicator.first_owner(digest);
  bool from_backend = source.copy.host.empty();
  Result<void> followed = fail(Errc::unavailable, "not asked");
  if (from_backend && !first.empty()) {
    log_.info("fetching {} ({} bytes) from the backend through origin {}", digest.str(), size, first);
    const Replicator::Copy through{first, size};
    followed = co_await services_.replicator.fetch(through, source.ns, digest, piece_length);
    if (!followed) log_.info("origin {} does not give {}: {}", first, digest.str(), followed.error().message);
  }
  const std::string where = from_backend ? "the backend" : "origin " + source.copy.host;
  if (!followed) log_.info("fetching {} ({} bytes) from {}", digest.str(), size, where);
  if (followed) {
    fetch->outcome = followed;
    from_backend = false;
  } else if (from_backend) {
    fetch->outcome = co_await download(fetch, source.backend, digest, piece_length);
  } else {
    fetch->outcome = co_await services_.replicator.fetch(source.copy, source.ns, digest, piece_length);
  }
  fetch->done = true;
  fetches_.erase(digest);
  fetch->ended.notify_all();
  fetch_ended_.notify_all();
  (fetch->outcome ? fetched_ : failed_).add();
  if (!fetch->outcome) {
    log_.warn("fetch of {} failed: {}", digest.str(), fetch->outcome.error().message);
    remember_failure(digest, fetch->outcome.error());
    co_return;
  }
  log_.info("fetched {} from {}", digest.str(), followed ? "origin " + first : where);
  if (from_backend && source.share) co_await services_.replicator.transfer(digest);
}

Task<Result<void>> BlobRefresher::wait_for_slot() {
  const TimePoint deadline = services_.clock.now() + slot_wait;
  while (fetches_.size() >= max_fetches) {
    const Duration left = deadline - services_.clock.now();
    if (left <= Duration::zero())
      co_return fail(Errc::unavailable, "{} fetches from backends are running already", max_fetches);
    co_await fetch_ended_.wait_for(services_.clock, left);
  }
  co_return Result<void>{};
}

/// What a fetch has written so far. Keeps the fetch, and so the file, but not the store's upload from ending.
class BlobRefresher::Arriving final : public io::Content {
 public:
  Arriving(io::Clock& clock, FetchPtr fetch)
      : clock_(clock), fetch_(std::move(fetch)), upload_(fetch_->upload), file_(upload_->file()) {}
  uint64_t size() const override { return fetch_->size; }
  io::FilePtr file() const override { return file_; }
  Task<Result<uint64_t>> ready(uint64_t offset) override {
    const FetchPtr fetch = fetch_;
    const storage::UploadPtr upload = upload_;
    io::Clock& clock = clock_;
    for (;;) {
      if (fetch->done && !fetch->outcome) co_return fail(fetch->outcome.error());
      if (fetch->done) co_return fetch->size;
      const uint64_t limit = fetch->size - std::min(fetch->size, holdback);
      const uint64_t end = std::min<uint64_t>(upload->size(), limit);
      if (offset < end) co_return end;
      co_await fetch->ended.wait_for(clock, arrival_poll);
    }
  }

 private:
  io::Clock& clock_;
  FetchPtr fetch_;
  storage::UploadPtr upload_;
  io::FilePtr file_;
};

io::ContentPtr BlobRefresher::arriving(const Digest& digest) const {
  const auto found = fetches_.find(digest);
  if (found == fetches_.end() || !found->second->upload) return nullptr;
  return std::make_shared<Arriving>(services_.clock, found->second);
}

Task<Result<void>> BlobRefresher::download(FetchPtr fetch, backend::BackendPtr backend, Digest digest,
                                           uint64_t piece_length) {
  auto upload = co_await services_.store.create_memory_upload(fetch->size);
  if (upload && !*upload) upload = co_await services_.store.create_upload();
  if (!upload) co_return propagate(upload);
  fetch->upload = *upload;
  Result<void> received;
  {
    const auto sink = (*upload)->writer(0);
    received = co_await backend->download(digest.hex(), 0, *sink);
  }
  // A backend that breaks off is asked for the rest, as long as it gives any.
  for (unsigned resumed = 0; !received && resumed < resumes_max && (*upload)->size() > 0; ++resumed) {
    if (received.error().code == Errc::no_space || received.error().code == Errc::not_found) break;
    const uint64_t have = (*upload)->size();
    log_.warn("fetch of {} broke off at byte {}, going on: {}", digest.str(), have, received.error().message);
    const auto sink = (*upload)->writer(have);
    received = co_await backend->download(digest.hex(), have, *sink);
  }
  if (!received) {
    co_await (*upload)->discard();
    co_return received;
  }
  auto committed = co_await (*upload)->commit(digest, piece_length);
  if (!committed && committed.error().code != Errc::already_exists) co_return propagate(committed);
  co_return Result<void>{};
}

const Error* BlobRefresher::remembered_failure(const Digest& digest) {
  const auto found = failures_.find(digest);
  if (found == failures_.end()) return nullptr;
  if (found->second.expires > services_.clock.now()) return &found->second.error;
  failures_.erase(found);
  return nullptr;
}

void BlobRefresher::remember_failure(const Digest& digest, Error error) {
  const TimePoint now = services_.clock.now();
  if (failures_.size() >= max_failures)
    std::erase_if(failures_, [now](const auto& entry) { return entry.second.expires <= now; });
  // Still full of fresh ones: one less is remembered, and merely fetched again.
  if (failures_.size() >= max_failures) failures_.erase(failures_.begin());
  failures_[digest] = Failure{std::move(error), now + failure_memory};
}

}  // namespace krakend::origin
