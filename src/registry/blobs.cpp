#include "registry/blobs.h"

#include <utility>

#include "registry/errors.h"
#include "registry/ranges.h"

namespace krakend::registry {

namespace {

/// Seconds; a blob never changes under its digest.
constexpr const char* cache_control = "max-age=31536000";

void set_digest_headers(http::Response& response, const Digest& digest) {
  response.headers.set("Docker-Content-Digest", digest.str());
  response.headers.set("Etag", fmt::format("\"{}\"", digest.str()));
}

http::Response not_modified(const Digest& digest) {
  http::Response response;
  response.status = 304;
  set_digest_headers(response, digest);
  response.headers.set("Cache-Control", cache_control);
  return response;
}

http::Response blob_head(uint64_t size, const Digest& digest) {
  http::Response response;
  set_digest_headers(response, digest);
  response.headers.set("Content-Type", "application/octet-stream");
  response.headers.set("Cache-Control", cache_control);
  response.headers.set("Accept-Ranges", "bytes");
  response.content_length = size;
  return response;
}

http::Response unsatisfiable(uint64_t size, const Digest& digest) {
  http::Response response = registry_error(
      416, code::range_invalid, fmt::format("the range lies outside of the {} bytes of the blob", size));
  response.headers.set("Content-Range", fmt::format("bytes */{}", size));
  response.headers.set("Docker-Content-Digest", digest.str());
  return response;
}

/// The Range header, unless If-Range asks for another version of the blob.
RangeRequest requested_range(const http::Request& request, uint64_t size, const Digest& digest) {
  if (!request.headers.has("Range")) return {};
  if (request.headers.has("If-Range") && !etag_matches(request.headers.get("If-Range"), digest)) return {};
  return parse_range(request.headers.joined("Range"), size);
}

}  // namespace

std::string blob_location(const std::string& name, const ContentDigest& digest) {
  return fmt::format("/v2/{}/blobs/{}", name, digest.str());
}

http::Response content_response(const http::Request& request, io::ContentPtr content, const Digest& digest,
                                std::string_view source) {
  if (etag_matches(request.headers.joined("If-None-Match"), digest)) return not_modified(digest);
  const uint64_t size = content->size();
  http::Response response = blob_head(size, digest);
  if (request.method == "HEAD") return response;  // RFC 9110 §14.2: Range is for GET only

  const RangeRequest range = requested_range(request, size, digest);
  if (range.kind == RangeRequest::Kind::unsatisfiable) return unsatisfiable(size, digest);
  response.content_length.reset();
  if (!source.empty()) response.headers.set("X-Krakend-Source", std::string(source));
  if (range.kind == RangeRequest::Kind::whole) {
    response.body = http::ContentRange{std::move(content), 0, size};
    return response;
  }
  response.status = 206;
  const std::string_view verified = content->want_range(range.offset);
  if (!verified.empty()) response.headers.set("X-Krakend-Verified", std::string(verified));
  response.headers.set("Content-Range",
                       fmt::format("bytes {}-{}/{}", range.offset, range.offset + range.length - 1, size));
  response.body = http::ContentRange{std::move(content), range.offset, range.length};
  return response;
}

Task<http::Response> BlobEndpoint::get(http::Request& request, std::string name, Digest digest) {
  const std::string detail = json_quote(digest.str());
  const bool has_it = etag_matches(request.headers.joined("If-None-Match"), digest);
  if (request.method == "HEAD" || has_it) {
    auto size = co_await transfer_.stat(std::move(name), digest);
    if (!size) co_return transfer_error(size.error(), code::blob_unknown, detail);
    co_return has_it ? not_modified(digest) : blob_head(*size, digest);
  }
  auto opened = co_await transfer_.open(std::move(name), digest);
  if (!opened) co_return transfer_error(opened.error(), code::blob_unknown, detail);
  auto response = content_response(request, std::move(opened->content), digest, opened->source);
  response.unless_ready = [detail](const Error& error) {
    return transfer_error(error, code::blob_unknown, detail);
  };
  co_return response;
}

}  // namespace krakend::registry
