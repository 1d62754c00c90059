#include "roles/origin/upload_handler.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "krakend/api/requests.h"
#include "krakend/core/metainfo.h"
#include "krakend/core/units.h"
#include "roles/origin/origin.h"

namespace krakend::origin {
namespace {

constexpr uint64_t max_commit_body = 4 * KiB;
/// Of a staggered write-back.
constexpr Duration delay_max = 24h;
constexpr Duration expire_interval = 5min;
/// Bytes behind the announced range that are read and ignored before the body is refused (contract http-api
/// §4.7).
constexpr uint64_t max_surplus = 64 * KiB;

/// Of an origin that is full, or behind with its write-back.
constexpr const char* retry_after_seconds = "5";

/// Passes on the first `length` bytes and drops the rest.
class PrefixSink final : public io::ByteSink {
 public:
  PrefixSink(io::ByteSink& sink, uint64_t length) : sink_(sink), left_(length) {}
  Result<void> write(std::span<const std::byte> data) override {
    const auto taken = data.first(static_cast<size_t>(std::min<uint64_t>(data.size(), left_)));
    left_ -= taken.size();
    return taken.empty() ? Result<void>{} : sink_.write(taken);
  }
  uint64_t left() const { return left_; }

 private:
  io::ByteSink& sink_;
  uint64_t left_;
};

/// 500 as the reference answers, but 503 where another origin may have more luck: clients fail over on that.
http::Response storage_error(const Error& error) {
  const bool elsewhere = error.code == Errc::no_space || error.code == Errc::unavailable;
  http::Response response = api::error_with_status(elsewhere ? 503 : 500, error);
  if (elsewhere) response.headers.set("Retry-After", retry_after_seconds);
  return response;
}

}  // namespace

class UploadHandler::Hold {
 public:
  Hold() = default;
  Hold(SessionPtr session, io::Clock& clock) : session_(std::move(session)), clock_(&clock) {
    session_->busy = true;
  }
  Hold(Hold&& other) noexcept : session_(std::exchange(other.session_, nullptr)), clock_(other.clock_) {}
  Hold& operator=(Hold&&) = delete;
  ~Hold() {
    if (!session_) return;
    session_->busy = false;
    session_->last_use = clock_->now();
    session_->released.notify_all();
  }
  explicit operator bool() const { return session_ != nullptr; }
  Session* operator->() const { return session_.get(); }

 private:
  SessionPtr session_;
  io::Clock* clock_ = nullptr;
};

UploadHandler::UploadHandler(Services services, std::map<uint64_t, uint64_t> piece_lengths, Logger log)
    : services_(services), piece_lengths_(std::move(piece_lengths)), log_(std::move(log)) {}

void UploadHandler::add_routes(http::Router& router) {
  using api::bind;
  using U = UploadHandler;
  const std::string cluster = "/namespace/{namespace}/blobs/{digest}/uploads";
  const std::string transfer = "/internal/blobs/{digest}/uploads";
  router.add("POST", cluster, bind(this, &U::start_cluster))
      .add("PATCH", cluster + "/{uid}", bind(this, &U::patch_cluster))
      .add("PUT", cluster + "/{uid}", bind(this, &U::commit_cluster))
      .add("POST", transfer, bind(this, &U::start_transfer))
      .add("PATCH", transfer + "/{uid}", bind(this, &U::patch_transfer))
      .add("PUT", transfer + "/{uid}", bind(this, &U::commit_transfer))
      .add("PUT", "/internal/duplicate" + cluster + "/{uid}", bind(this, &U::commit_duplicate));
}

Task<http::Response> UploadHandler::start(Kind kind, http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  co_await services_.leases.use(*digest);
  if (co_await has_blob(*digest))
    co_return co_await conflict(kind, api::param(request, "namespace"), *digest);
  auto upload = co_await services_.store.create_upload();
  if (!upload) co_return storage_error(upload.error());
  auto session = std::make_shared<Session>(services_.loop, *upload);
  session->last_use = services_.clock.now();
  sessions_[(*upload)->id()] = std::move(session);
  http::Response response = http::text_response(200);
  response.headers.set("Location", (*upload)->id());
  co_return response;
}

Task<http::Response> UploadHandler::patch(Kind kind, http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  co_await services_.leases.use(*digest);
  // At its start the blob was not there.
  bool there = services_.store.knows(*digest);
  if (there) there = co_await has_blob(*digest);
  if (there) co_return co_await conflict(kind, api::param(request, "namespace"), *digest);
  auto range = parse_content_range(request.headers.get("Content-Range"));
  if (!range) co_return http::error_response(range.error());
  auto possible = check_range(*range);
  if (!possible) co_return http::error_response(possible.error());
  const Hold session = co_await acquire(api::param(request, "uid"));
  if (!session) co_return http::text_response(404);
  co_return co_await write_chunk(session->upload, *range, request);
}

Task<http::Response> UploadHandler::write_chunk(storage::UploadPtr upload, ByteRange range,
                                                http::Request& request) {
  const auto announced = request.body->length();
  if (announced && *announced < range.length())
    co_return http::text_response(500,
                                  fmt::format("the body has {} of {} bytes", *announced, range.length()));
  const auto writer = upload->writer(range.start);
  PrefixSink sink(*writer, range.length());
  auto received = co_await request.body->read_to(sink, range.length() + max_surplus);
  if (!received) co_return storage_error(received.error());
  if (sink.left() > 0)
    co_return http::text_response(500, fmt::format("the body ended {} bytes early", sink.left()));
  co_return http::text_response(200);
}

Task<http::Response> UploadHandler::commit_duplicate(http::Request& request) {
  auto body = co_await request.body->text(max_commit_body);
  if (!body) co_return api::error_with_status(500, body.error());
  const auto document = nlohmann::json::parse(*body, nullptr, false);
  if (!document.is_object())
    co_return http::text_response(500, "decode body: expected a JSON object with \"Delay\"");
  Duration delay{0};
  for (const auto& [key, value] : document.items()) {
    const bool named = key == "Delay" || key == "delay" || key == "DELAY";
    if (named && value.is_number_integer()) delay = Duration(value.get<Duration::rep>());
  }
  co_return co_await commit(Kind::duplicate, request, std::clamp<Duration>(delay, 0s, delay_max));
}

Task<http::Response> UploadHandler::commit(Kind kind, http::Request& request, Duration delay) {
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  co_await services_.leases.use(*digest);
  const std::string ns = api::param(request, "namespace");
  const std::string id = api::param(request, "uid");
  const Hold session = co_await acquire(id);
  if (!session) co_return http::text_response(404);
  // Whatever comes of it, the upload is gone (contract http-api §4.7).
  session->gone = true;
  sessions_.erase(id);
  const bool for_good = kind != Kind::transfer && services_.write_back.has_backend(ns);
  std::optional<WriteBack::Promise> promise;
  if (for_good) {
    auto promised = co_await services_.write_back.promise(ns, *digest, delay);
    if (!promised) {
      co_await session->upload->discard();
      co_return storage_error(promised.error());
    }
    promise.emplace(std::move(*promised));
  }
  const uint64_t piece_length = piece_length_for(piece_lengths_, session->upload->size());
  auto blob = co_await session->upload->commit(*digest, piece_length, for_good);
  if (!blob) {
    if (promise) co_await services_.write_back.withdraw(std::move(*promise));
    co_return co_await not_committed(kind, ns, *digest, blob.error());
  }
  promise.reset();
  log_.info("{} committed, {} bytes, namespace {}", digest->str(), (*blob)->size(), ns);
  if (kind != Kind::transfer && !for_good)
    log_.warn("{} is not written back: no backend matches namespace {}", digest->str(), ns);
  if (kind == Kind::cluster) co_await services_.replicator.duplicate(ns, *digest);
  co_return http::text_response(200);
}

Task<http::Response> UploadHandler::not_committed(Kind kind, std::string ns, Digest digest, Error error) {
  if (error.code == Errc::already_exists) co_return co_await conflict(kind, ns, digest);
  if (error.code == Errc::corrupt)
    co_return http::text_response(500, "move upload file to cache: verify digest: " + error.message);
  co_return storage_error(error);
}

Task<http::Response> UploadHandler::conflict(Kind kind, std::string ns, Digest digest) {
  if (kind == Kind::cluster) {
    auto queued = co_await services_.write_back.ensure(ns, digest);
    if (!queued) co_return storage_error(queued.error());
  }
  co_return http::text_response(409);
}

Task<bool> UploadHandler::has_blob(Digest digest) {
  auto size = co_await services_.store.size(digest);
  co_return size.has_value();
}

Task<UploadHandler::Hold> UploadHandler::acquire(std::string id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) co_return Hold();
  const SessionPtr session = found->second;
  while (session->busy) co_await session->released.wait();
  if (session->gone) co_return Hold();
  co_return Hold(session, services_.clock);
}

/// A blob longer than this could never get metainfo.
Result<void> UploadHandler::check_range(const ByteRange& range) const {
  const uint64_t limit = uint64_t{max_pieces} * piece_length_for(piece_lengths_, range.stop);
  if (range.stop <= limit) return {};
  return fail(Error{Errc::too_large,
                    fmt::format("offset {} is beyond the largest blob, {}", range.stop, format_size(limit)),
                    400});
}

Task<> UploadHandler::expire() {
  for (;;) {
    co_await services_.clock.sleep(expire_interval);
    const TimePoint now = services_.clock.now();
    std::vector<SessionPtr> idle;
    for (auto next = sessions_.begin(); next != sessions_.end();) {
      const SessionPtr& session = next->second;
      const bool expired = !session->busy && session->last_use + upload_tti <= now;
      if (expired) {
        session->gone = true;
        idle.push_back(session);
      }
      next = expired ? sessions_.erase(next) : std::next(next);
    }
    for (const SessionPtr& session : idle) {
      log_.info("upload {} was left alone for {}: discarded", session->upload->id(),
                format_duration(upload_tti));
      co_await session->upload->discard();
    }
  }
}

}  // namespace krakend::origin
