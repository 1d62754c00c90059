#include "roles/origin/blob_handler.h"

#include <fmt/ranges.h>

#include <charconv>
#include <utility>

#include "krakend/api/clients.h"
#include "krakend/api/requests.h"
#include "roles/origin/origin.h"
#include "roles/origin/ranges.h"

namespace krakend::origin {
namespace {

http::Response blob_response(const io::ContentPtr& blob, std::string_view range_header,
                             std::string_view source = "disk") {
  const uint64_t size = blob->size();
  auto range = parse_range(range_header, size);
  if (!range) {
    http::Response response = api::error_with_status(416, range.error());
    response.headers.set("Content-Range", fmt::format("bytes */{}", size));
    return response;
  }
  http::Response response;
  response.headers.set("Content-Type",
                       size == 0 ? "application/octet-stream-v1" : "application/octet-stream");
  response.headers.set("Accept-Ranges", "bytes");
  response.headers.set("X-Krakend-Source", std::string(source));
  const ByteRange bytes = range->value_or(ByteRange{0, size});
  if (*range) {
    response.status = 206;
    response.headers.set("Content-Range", fmt::format("bytes {}-{}/{}", bytes.start, bytes.stop - 1, size));
  }
  if (size > 0) response.body = http::ContentRange{blob, bytes.start, bytes.length()};
  return response;
}

}  // namespace

BlobHandler::BlobHandler(Services services, std::map<uint64_t, uint64_t> piece_lengths, Logger log)
    : services_(services), piece_lengths_(std::move(piece_lengths)), log_(std::move(log)) {}

void BlobHandler::add_routes(http::Router& router) {
  using api::bind;
  using B = BlobHandler;
  router.add("GET", "/blobs/{digest}/locations", bind(this, &B::locations))
      .add("HEAD", "/internal/namespace/{namespace}/blobs/{digest}", bind(this, &B::stat))
      .add("GET", "/namespace/{namespace}/blobs/{digest}", bind(this, &B::download))
      .add("POST", "/namespace/{namespace}/blobs/{digest}/prefetch", bind(this, &B::prefetch))
      .add("GET", "/internal/namespace/{namespace}/blobs/{digest}/metainfo", bind(this, &B::metainfo))
      .add("POST", "/internal/blobs/{digest}/metainfo", bind(this, &B::overwrite_metainfo))
      .add("DELETE", "/internal/blobs/{digest}", bind(this, &B::remove))
      .add("DELETE", "/namespace/{namespace}/blobs/{digest}", bind(this, &B::erase));
}

Task<http::Response> BlobHandler::locations(http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  http::Response response = http::text_response(200);
  response.headers.set("Origin-Locations",
                       fmt::format("{}", fmt::join(services_.ring.locations(*digest), ",")));
  co_return response;
}

Task<http::Response> BlobHandler::stat(http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  auto local = api::bool_query(request, "local");
  if (!local) co_return http::error_response(local.error());
  // Origins that look for copies at each other do not use what they find.
  if (!*local) co_await services_.leases.use(*digest);
  auto size = co_await services_.store.size(*digest);
  if (!size && size.error().code == Errc::not_found && !*local)
    size = co_await services_.refresher.stat(api::param(request, "namespace"), *digest);
  if (!size && size.error().code == Errc::not_found) co_return http::text_response(404);
  if (!size) co_return api::error_with_status(500, size.error());
  http::Response response;
  response.content_length = *size;
  co_return response;
}

Task<Result<storage::BlobPtr>> BlobHandler::open_or_refresh(std::string ns, Digest digest) {
  auto blob = co_await services_.store.open(digest);
  if (blob || blob.error().code != Errc::not_found) co_return blob;
  auto refreshed = co_await services_.refresher.refresh(ns, digest);
  if (!refreshed) co_return propagate(refreshed);
  co_return co_await services_.store.open(digest);
}

Task<http::Response> BlobHandler::download(http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  co_await services_.leases.use(*digest);
  auto blob = co_await open_or_refresh(api::param(request, "namespace"), *digest);
  if (blob) co_return blob_response(*blob, request.headers.get("Range"));
  const bool follows = request.headers.has(api::follow_header);
  if (const auto arriving = services_.refresher.arriving(*digest);
      follows && arriving && blob.error().code == Errc::pending)
    co_return blob_response(arriving, request.headers.get("Range"), "backend");
  co_return refresh_response(blob.error());
}

Task<http::Response> BlobHandler::prefetch(http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  co_await services_.leases.use(*digest);
  auto blob = co_await open_or_refresh(api::param(request, "namespace"), *digest);
  if (!blob) co_return refresh_response(blob.error());
  co_return http::text_response(200);
}

/// Metainfo of a blob that is here; made when only it is missing or unreadable (the reference would ask the
/// backend for the blob).
Task<Result<MetaInfo>> BlobHandler::local_metainfo(Digest digest) {
  auto metainfo = co_await services_.store.metainfo(digest);
  // Torn or foreign content is as good as none.
  if (metainfo || metainfo.error().code == Errc::io) co_return metainfo;
  auto size = co_await services_.store.size(digest);
  if (!size) co_return propagate(size);
  co_return co_await services_.store.make_metainfo(digest, piece_length_for(piece_lengths_, *size));
}

Task<http::Response> BlobHandler::metainfo(http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  co_await services_.leases.use(*digest);
  auto metainfo = co_await local_metainfo(*digest);
  const bool lacking =
      !metainfo && (metainfo.error().code == Errc::not_found || metainfo.error().code == Errc::corrupt);
  if (lacking) {
    auto refreshed = co_await services_.refresher.refresh(api::param(request, "namespace"), *digest);
    if (!refreshed) co_return refresh_response(refreshed.error());
    metainfo = co_await local_metainfo(*digest);
  }
  if (!metainfo) co_return refresh_response(metainfo.error());
  co_return http::text_response(200, metainfo->json());
}

Task<http::Response> BlobHandler::overwrite_metainfo(http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  const std::string text = request.query_param("piece_length").value_or("");
  int64_t piece_length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), piece_length);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    co_return http::text_response(400, fmt::format("invalid piece_length argument: \"{}\"", text));
  if (piece_length <= 0) co_return http::text_response(500, "create metainfo: piece length must be positive");
  auto made = co_await services_.store.make_metainfo(*digest, static_cast<uint64_t>(piece_length));
  if (!made) co_return api::error_with_status(500, made.error());
  co_return http::text_response(200);
}

Task<http::Response> BlobHandler::remove(http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  auto size = co_await services_.store.size(*digest);
  if (!size && size.error().code == Errc::not_found) co_return http::text_response(404);
  auto persist = co_await services_.store.persist(*digest);
  if (!persist) co_return api::error_with_status(500, persist.error());
  if (*persist) co_return http::text_response(500, digest->str() + " is not written back yet");
  auto removed = co_await services_.engine.remove(*digest);
  if (!removed) co_return api::error_with_status(500, removed.error());
  log_.info("{} deleted", digest->str());
  co_return http::text_response(202);
}

/// The backend goes first: what is only gone here would come back from there with the next request.
Task<http::Response> BlobHandler::erase(http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  auto forgotten = co_await services_.write_back.forget(*digest);
  if (!forgotten) co_return api::error_with_status(500, forgotten.error());
  bool found = false;
  if (auto backend = services_.backends.find(api::param(request, "namespace"))) {
    auto removed = co_await (*backend)->remove(digest->hex());
    found = removed.has_value();
    if (!removed && removed.error().code != Errc::not_found)
      co_return api::error_with_status(500, removed.error());
  }
  auto size = co_await services_.store.size(*digest);
  if (size) {
    found = true;
    auto cleared = co_await services_.store.set_persist(*digest, false);
    if (!cleared && cleared.error().code != Errc::not_found)
      co_return api::error_with_status(500, cleared.error());
  }
  auto removed = co_await services_.engine.remove(*digest);
  if (!removed) co_return api::error_with_status(500, removed.error());
  if (!found) co_return http::text_response(404);
  log_.info("{} erased, from its backend too", digest->str());
  co_return http::text_response(202);
}

}  // namespace krakend::origin
