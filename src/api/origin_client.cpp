#include <algorithm>
#include <charconv>
#include <utility>

#include "api/call.h"
#include "krakend/api/clients.h"
#include "krakend/core/url.h"

namespace krakend::api {
namespace {

/// One PATCH of an upload carries at most this (contract http-api §4.7).
constexpr uint64_t upload_chunk = 32 * MiB;
/// While there is a limit: it would move in bursts otherwise.
constexpr uint64_t limited_chunk = 1 * MiB;
/// Labels in one Origin-Locations header.
constexpr size_t max_locations = 1000;

Result<std::vector<std::string>> parse_locations(std::string_view header) {
  std::vector<std::string> hosts;
  while (!header.empty() && hosts.size() < max_locations) {
    const size_t comma = header.find(',');
    if (comma != 0) hosts.emplace_back(header.substr(0, comma));
    header = comma == std::string_view::npos ? std::string_view() : header.substr(comma + 1);
  }
  if (hosts.empty()) return fail(Errc::protocol, "the Origin-Locations header is empty");
  return hosts;
}

std::string blob_path(const std::string& ns, const Digest& digest) {
  return "/namespace/" + path_escape(ns) + "/blobs/" + digest.str();
}

}  // namespace

struct OriginClient::UploadPaths {
  std::string start;   ///< the upload id is appended for patch
  std::string commit;  ///< the upload id is appended
  std::string commit_body;
};

OriginClient::OriginClient(http::Client& client, std::string host)
    : OriginClient(client, std::move(host), Limits()) {}

OriginClient::OriginClient(http::Client& client, std::string host, Limits limits)
    : client_(client), host_(std::move(host)), limits_(limits) {}

Task<Result<std::vector<std::string>>> OriginClient::locations(Digest digest) {
  auto response =
      co_await call(client_, "GET", host_, "/blobs/" + digest.str() + "/locations", limits::locations);
  if (!response) co_return propagate(response);
  co_return parse_locations(response->headers.get("Origin-Locations"));
}

Task<Result<uint64_t>> OriginClient::stat(std::string ns, Digest digest, bool local) {
  std::string target = "/internal" + blob_path(ns, digest) + (local ? "?local=true" : "");
  auto response = co_await call(client_, "HEAD", host_, std::move(target), limits::stat);
  if (!response) co_return propagate(response);
  const std::string_view text = response->headers.get("Content-Length");
  uint64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    co_return fail(Errc::protocol, "stat {} at {}: Content-Length is \"{}\", not a size", digest.str(), host_,
                   text);
  co_return size;
}

Task<Result<MetaInfo>> OriginClient::metainfo(std::string ns, Digest digest) {
  std::string target = "/internal" + blob_path(ns, digest) + "/metainfo";
  auto response = co_await call(client_, "GET", host_, std::move(target), limits::origin_metainfo);
  if (!response) co_return propagate(response);
  auto metainfo = MetaInfo::parse(response->body);
  if (!metainfo) co_return fail(Errc::protocol, "metainfo from {}: {}", host_, metainfo.error().message);
  if (metainfo->digest() != digest)
    co_return fail(Errc::protocol, "metainfo from {}: is of {} instead of {}", host_,
                   metainfo->digest().str(), digest.str());
  co_return metainfo;
}

Task<Result<PeerContext>> OriginClient::peer_context() {
  auto response = co_await call(client_, "GET", host_, "/internal/peercontext", limits::peer_context);
  if (!response) co_return propagate(response);
  auto context = PeerContext::parse(response->body);
  if (!context) co_return fail(Errc::protocol, "peer context from {}: {}", host_, context.error().message);
  co_return context;
}

Task<Result<void>> OriginClient::download(std::string ns, Digest digest, io::ByteSink& sink) {
  co_return co_await download_range(std::move(ns), digest, std::string(), 200, sink);
}

Task<Result<void>> OriginClient::fetch(std::string ns, Digest digest, uint64_t size, io::ByteSink& sink) {
  io::Bandwidth* const ingress = limits_.ingress;
  if (ingress == nullptr || !ingress->limited()) co_return co_await download(std::move(ns), digest, sink);
  for (uint64_t at = 0; at < size; at += limited_chunk) {
    const uint64_t length = std::min(limited_chunk, size - at);
    co_await ingress->acquire(length, io::Traffic::replication);
    auto range = fmt::format("bytes={}-{}", at, at + length - 1);
    auto received = co_await download_range(ns, digest, std::move(range), 206, sink);
    // The reference takes no ranges, and has sent all of it.
    if (!received && at == 0 && received.error().http_status == 200) break;
    if (!received) co_return received;
  }
  co_return Result<void>{};
}

Task<Result<void>> OriginClient::download_range(std::string ns, Digest digest, std::string range, int status,
                                                io::ByteSink& sink) {
  auto request = make_request("GET", host_, blob_path(ns, digest), limits::download);
  if (!request) co_return propagate(request);
  request->sink = &sink;
  request->headers.set(follow_header, "1");
  if (!range.empty()) request->headers.set("Range", range);
  auto response = co_await call(client_, std::move(*request), status);
  if (!response) co_return propagate(response);
  co_return Result<void>{};
}

Task<Result<void>> OriginClient::prefetch(std::string ns, Digest digest) {
  const std::string target = blob_path(ns, digest) + "/prefetch";
  auto response = co_await call(client_, "POST", host_, target, limits::prefetch);
  // The kept connection may have been one to an earlier life of the origin: asking twice does no harm.
  if (!response && response.error().code == Errc::network)
    response = co_await call(client_, "POST", host_, target, limits::prefetch);
  if (!response && response.error().code != Errc::pending) co_return propagate(response);
  co_return Result<void>{};
}

Task<Result<void>> OriginClient::upload(std::string ns, Digest digest, io::FilePtr file, uint64_t size,
                                        Duration commit_limit) {
  const std::string uploads = blob_path(ns, digest) + "/uploads";
  UploadPaths paths{uploads, uploads + "/", ""};
  co_return co_await upload_to(std::move(paths), std::move(file), size, commit_limit);
}

Task<Result<void>> OriginClient::duplicate(std::string ns, Digest digest, io::FilePtr file, uint64_t size,
                                           Duration delay) {
  const std::string uploads = blob_path(ns, digest) + "/uploads";
  UploadPaths paths{uploads, "/internal/duplicate" + uploads + "/",
                    fmt::format("{{\"Delay\":{}}}", delay.count())};
  co_return co_await upload_to(std::move(paths), std::move(file), size);
}

Task<Result<void>> OriginClient::transfer(Digest digest, io::FilePtr file, uint64_t size) {
  const std::string uploads = "/internal/blobs/" + digest.str() + "/uploads";
  UploadPaths paths{uploads, uploads + "/", ""};
  co_return co_await upload_to(std::move(paths), std::move(file), size);
}

Task<Result<void>> OriginClient::upload_to(UploadPaths paths, io::FilePtr file, uint64_t size,
                                           Duration commit_limit) {
  // The blob is there already: at every step that is success (contract http-api §4.7).
  const auto is_there = [](const Result<http::ClientResponse>& response) {
    return !response && response.error().code == Errc::already_exists && response.error().http_status == 409;
  };
  auto started = co_await call(client_, "POST", host_, fmt::format("{}?size={}", paths.start, size),
                               limits::upload_start);
  if (is_there(started)) co_return Result<void>{};
  if (!started) co_return propagate(started);
  const std::string id(started->headers.get("Location"));
  if (id.empty()) co_return fail(Errc::protocol, "upload to {}: no Location in the answer", host_);

  uint64_t length = 0;
  for (uint64_t offset = 0; offset < size; offset += length) {
    const bool limited = limits_.egress != nullptr && limits_.egress->limited();
    length = std::min(limited ? limited_chunk : upload_chunk, size - offset);
    if (limited) co_await limits_.egress->acquire(length, io::Traffic::replication);
    auto request = make_request("PATCH", host_, paths.start + "/" + id, limits::upload_patch);
    if (!request) co_return propagate(request);
    request->headers.add("Content-Range", fmt::format("{}-{}", offset, offset + length));
    request->body = http::FileRange{file, offset, length};
    auto patched = co_await call(client_, std::move(*request));
    if (is_there(patched)) co_return Result<void>{};
    if (!patched) co_return propagate(patched);
  }

  auto request = make_request("PUT", host_, paths.commit + id, commit_limit);
  if (!request) co_return propagate(request);
  // The origin verifies, writes back and replicates before it answers: silence is normal here.
  request->idle_timeout = commit_limit;
  if (!paths.commit_body.empty()) request->body = std::move(paths.commit_body);
  auto committed = co_await call(client_, std::move(*request));
  if (!committed && !is_there(committed)) co_return propagate(committed);
  co_return Result<void>{};
}

Task<Result<void>> OriginClient::remove(Digest digest) {
  auto response =
      co_await call(client_, "DELETE", host_, "/internal/blobs/" + digest.str(), limits::remove, 202);
  if (!response) co_return propagate(response);
  co_return Result<void>{};
}

Task<Result<void>> OriginClient::erase(std::string ns, Digest digest) {
  auto response = co_await call(client_, "DELETE", host_, blob_path(ns, digest), limits::remove, 202);
  if (!response) co_return propagate(response);
  co_return Result<void>{};
}

Task<Result<void>> OriginClient::replicate(std::string ns, Digest digest, std::string remote) {
  // The address goes as it is (contract backends-replication §12).
  std::string target = blob_path(ns, digest) + "/remote/" + remote;
  auto response = co_await call(client_, "POST", host_, std::move(target), limits::replicate);
  if (!response) co_return propagate(response);
  co_return Result<void>{};
}

Task<Result<void>> OriginClient::ready() {
  auto response = co_await call(client_, "GET", host_, "/readiness", limits::readiness);
  if (!response) co_return propagate(response);
  co_return Result<void>{};
}

Task<Result<void>> OriginClient::repair() {
  auto response = co_await call(client_, "POST", host_, "/x/repair", limits::readiness, 202);
  if (!response) co_return propagate(response);
  co_return Result<void>{};
}

}  // namespace krakend::api
