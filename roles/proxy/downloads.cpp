#include "roles/proxy/downloads.h"

#include <utility>

namespace krakend::proxy {

namespace {

/// Whole downloads that are tried for one request, when the first one ends with wrong bytes.
constexpr unsigned attempts_max = 2;

}  // namespace

class Downloads::Landing {
 public:
  Landing(Downloads& downloads, Digest digest, FlightPtr flight)
      : downloads_(downloads), digest_(digest), flight_(std::move(flight)) {}
  Landing(const Landing&) = delete;
  Landing& operator=(const Landing&) = delete;
  ~Landing() {
    downloads_.flights_.erase(digest_);
    flight_->finished = true;
    flight_->done.notify_all();
  }
  void result(Result<storage::BlobPtr> value) { flight_->result = std::move(value); }

 private:
  Downloads& downloads_;
  Digest digest_;
  FlightPtr flight_;
};

Downloads::Downloads(io::Loop& loop, storage::BlobStore& store, api::OriginCluster& origins,
                     PieceLengthFn piece_length, Logger log)
    : loop_(loop),
      store_(store),
      origins_(origins),
      piece_length_(std::move(piece_length)),
      log_(std::move(log)),
      tasks_(loop, log_) {}

Task<Result<storage::BlobPtr>> Downloads::fetch(std::string repo, Digest digest) {
  if (tasks_.stopping()) co_return fail(Errc::unavailable, "the proxy is shutting down");
  FlightPtr flight;
  if (const auto found = flights_.find(digest); found != flights_.end()) {
    flight = found->second;
  } else {
    flight = std::make_shared<Flight>(loop_);
    flights_[digest] = flight;
    auto landing = std::make_unique<Landing>(*this, digest, flight);
    tasks_.spawn(run(std::move(landing), std::move(repo), digest), "download");
  }
  while (!flight->finished) co_await flight->done.wait();
  co_return flight->result;
}

Task<> Downloads::stop() {
  co_await tasks_.stop();
}

Task<> Downloads::run(std::unique_ptr<Landing> landing, std::string repo, Digest digest) {
  auto result = co_await download(std::move(repo), digest);
  if (!result) log_.warn("download of {}: {}", digest.str(), result.error().message);
  landing->result(std::move(result));
}

Task<Result<storage::BlobPtr>> Downloads::download(std::string repo, Digest digest) {
  Attempt last = co_await attempt(repo, digest);
  for (unsigned attempts = 1; last.again && attempts < attempts_max; ++attempts) {
    last = co_await attempt(repo, digest);
  }
  co_return std::move(last.result);
}

Task<Downloads::Attempt> Downloads::attempt(std::string repo, Digest digest) {
  auto upload = co_await store_.create_upload();
  if (!upload) co_return Attempt{propagate(upload)};
  unsigned starts = 0;
  std::unique_ptr<io::ByteSink> sink;
  const std::function<Result<io::ByteSink*>()> restart = [&]() -> Result<io::ByteSink*> {
    ++starts;
    sink = (*upload)->writer(0);
    return sink.get();
  };
  auto downloaded = co_await origins_.download(std::move(repo), digest, restart);
  sink.reset();
  if (!downloaded) {
    co_await (*upload)->discard();
    co_return Attempt{propagate(downloaded)};
  }
  const uint64_t size = (*upload)->size();
  auto blob = co_await (*upload)->commit(digest, piece_length_(size));
  if (blob) {
    log_.info("fetched blob {} of {} bytes from the origins", digest.str(), size);
    co_return Attempt{std::move(blob)};
  }
  if (blob.error().code == Errc::already_exists) co_return Attempt{co_await store_.open(digest)};
  const bool again = blob.error().code == Errc::corrupt && starts > 1;
  co_return Attempt{std::move(blob), again};
}

}  // namespace krakend::proxy
