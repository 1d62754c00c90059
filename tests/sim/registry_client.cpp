#include "sim/registry_client.h"

#include <fmt/format.h>

#include <utility>

namespace krakend::sim {
namespace {

constexpr const char* manifest_type = "application/vnd.docker.distribution.manifest.v2+json";

/// The path and query of a Location, whatever it names.
std::string target_of(std::string_view location) {
  const size_t scheme = location.find("://");
  if (scheme == std::string_view::npos) return std::string(location);
  return std::string(location.substr(location.find('/', scheme + 3)));
}

Error unexpected(const http::ClientRequest& request, const http::ClientResponse& response) {
  return http::status_error(request, response);
}

}  // namespace

Task<Result<http::ClientResponse>> RegistryClient::send(http::ClientRequest request) {
  request.total_timeout = patience;
  request.idle_timeout = patience;
  co_return co_await client_->send(std::move(request));
}

Task<Result<void>> RegistryClient::push_once(io::Address registry, std::string repo, const SimBlob& blob) {
  http::ClientRequest begin;
  begin.method = "POST";
  begin.host = registry;
  begin.target = fmt::format("/v2/{}/blobs/uploads/", repo);
  auto begun = co_await send(begin);
  if (!begun) co_return propagate(begun);
  if (begun->status != 202) co_return fail(unexpected(begin, *begun));
  http::ClientRequest put;
  put.method = "PUT";
  put.host = registry;
  const std::string target = target_of(begun->headers.get("Location"));
  put.target = fmt::format("{}{}digest={}", target, target.find('?') == std::string::npos ? '?' : '&',
                           blob.digest.str());
  put.headers.add("Content-Type", "application/octet-stream");
  put.body = http::FileRange{file_of(blob), 0, blob.content->size()};
  auto done = co_await send(put);
  if (!done) co_return propagate(done);
  if (done->status != 201) co_return fail(unexpected(put, *done));
  co_return Result<void>{};
}

Task<Result<void>> RegistryClient::push(io::Address registry, std::string repo, const SimBlob& blob) {
  Result<void> done;
  for (unsigned i = 0; i < attempts; ++i) {
    done = co_await push_once(registry, repo, blob);
    if (done) break;
    co_await cluster_.clock().sleep(pause);
  }
  co_return done;
}

Task<Result<void>> RegistryClient::put_manifest(io::Address registry, std::string repo, std::string tag,
                                                std::string manifest) {
  http::ClientRequest put;
  put.method = "PUT";
  put.host = registry;
  put.target = fmt::format("/v2/{}/manifests/{}", repo, tag);
  put.headers.add("Content-Type", manifest_type);
  put.body = manifest;
  auto done = co_await send(put);
  if (!done) co_return propagate(done);
  if (done->status != 201) co_return fail(unexpected(put, *done));
  co_return Result<void>{};
}

Task<Result<std::string>> RegistryClient::get_manifest(io::Address registry, std::string repo,
                                                       std::string tag) {
  http::ClientRequest get;
  get.host = registry;
  get.target = fmt::format("/v2/{}/manifests/{}", repo, tag);
  get.headers.add("Accept", manifest_type);
  Result<std::string> manifest = fail(Errc::internal, "not asked");
  for (unsigned i = 0; i < attempts; ++i) {
    auto answer = co_await send(get);
    if (answer && answer->status == 200) co_return answer->body;
    manifest = answer ? fail(unexpected(get, *answer)) : propagate(answer);
    co_await cluster_.clock().sleep(pause);
  }
  co_return manifest;
}

Task<Result<std::string>> RegistryClient::find_manifest(io::Address registry, std::string repo,
                                                        std::string tag) {
  auto found = co_await get_manifest(registry, repo, tag);
  if (!found && found.error().http_status == 404) co_return std::string();
  co_return found;
}

Task<Result<void>> RegistryClient::remove_manifest(io::Address registry, std::string repo,
                                                   std::string manifest) {
  http::ClientRequest request;
  request.method = "DELETE";
  request.host = registry;
  request.target = fmt::format("/v2/{}/manifests/{}", repo, Digest::of(manifest).str());
  auto done = co_await send(request);
  if (!done) co_return propagate(done);
  if (done->status != 202 && done->status != 404) co_return fail(unexpected(request, *done));
  co_return Result<void>{};
}

Task<Result<bool>> RegistryClient::has(io::Address registry, std::string repo, const SimBlob& blob) {
  http::ClientRequest head;
  head.method = "HEAD";
  head.host = registry;
  head.target = fmt::format("/v2/{}/blobs/{}", repo, blob.digest.str());
  auto answer = co_await send(head);
  if (!answer) co_return propagate(answer);
  if (answer->status != 200 && answer->status != 404) co_return fail(unexpected(head, *answer));
  co_return answer->status == 200;
}

Task<Result<void>> RegistryClient::pull(io::Address registry, std::string repo, const SimBlob& blob) {
  Pull last;
  for (unsigned i = 0; i < attempts; ++i) {
    last = {};
    co_await sim::pull(cluster_, *client_, registry, repo, blob, last);
    if (last.wrong) co_return fail(Errc::corrupt, "blob {}: {}", blob.digest.str(), *last.wrong);
    if (last.good()) co_return Result<void>{};
    ++failed_pulls_;
    co_await cluster_.clock().sleep(pause);
  }
  co_return fail(Errc::network, "blob {}: {}", blob.digest.str(), *last.failure);
}

std::string manifest_of(const std::vector<SimBlob>& blobs) {
  std::string layers;
  for (size_t i = 1; i < blobs.size(); ++i) {
    layers += fmt::format(
        R"({}{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":{},"digest":"{}"}})",
        layers.empty() ? "" : ",", blobs[i].content->size(), blobs[i].digest.str());
  }
  return fmt::format(
      R"({{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.docker.container.image.v1+json",)"
      R"("size":{},"digest":"{}"}},"layers":[{}]}})",
      manifest_type, blobs.front().content->size(), blobs.front().digest.str(), layers);
}

}  // namespace krakend::sim
