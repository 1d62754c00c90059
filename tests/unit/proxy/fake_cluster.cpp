#include "fake_cluster.h"

#include <algorithm>

#include "krakend/api/requests.h"
#include "krakend/core/counted.h"

namespace krakend::proxy {

namespace {

std::string asked_for(const http::Request& request) {
  return api::param(request, "namespace") + " " + api::param(request, "digest");
}

}  // namespace

FakeOrigin::FakeOrigin(test::World& world) : clock_(*world.clock) {
  http::Router router;
  router.add("GET", "/blobs/{digest}/locations", [this](http::Request&) { return locations(); });
  router.add("HEAD", "/internal/namespace/{namespace}/blobs/{digest}", api::bind(this, &FakeOrigin::stat));
  router.add("GET", "/namespace/{namespace}/blobs/{digest}", api::bind(this, &FakeOrigin::download));
  router.add("POST", "/namespace/{namespace}/blobs/{digest}/prefetch",
             api::bind(this, &FakeOrigin::prefetch));
  router.add("GET", "/internal/namespace/{namespace}/blobs/{digest}/metainfo",
             api::bind(this, &FakeOrigin::metainfo));
  router.add("POST", "/namespace/{namespace}/blobs/{digest}/uploads", api::bind(this, &FakeOrigin::start));
  router.add("PATCH", "/namespace/{namespace}/blobs/{digest}/uploads/{uid}",
             api::bind(this, &FakeOrigin::patch));
  router.add("PUT", "/namespace/{namespace}/blobs/{digest}/uploads/{uid}",
             api::bind(this, &FakeOrigin::commit));
  address_ = world.serve(std::move(router));
}

Task<http::Response> FakeOrigin::locations() {
  http::Response response = http::text_response(200);
  response.headers.set("Origin-Locations", address_.str());
  co_return response;
}

Task<http::Response> FakeOrigin::stat(http::Request& request) {
  stat_namespace = api::param(request, "namespace");
  if (stat_status != 0) co_return http::text_response(stat_status);
  const auto found = blobs.find(api::param(request, "digest"));
  if (found == blobs.end()) co_return http::text_response(404);
  http::Response response;
  response.content_length = found->second.size();
  co_return response;
}

Task<http::Response> FakeOrigin::download(http::Request& request) {
  const auto found = blobs.find(api::param(request, "digest"));
  if (found == blobs.end()) co_return http::text_response(404);
  if (pending_downloads > 0) {
    --pending_downloads;
    co_return http::text_response(202);
  }
  ++downloads;
  downloaded.push_back(asked_for(request));
  const Counted counted(running);
  co_await pass();
  if (wrong_downloads > 0) {
    --wrong_downloads;
    co_return http::text_response(200, wrong_bytes);
  }
  co_return http::text_response(200, found->second);
}

Task<> FakeOrigin::pass() {
  most_running = std::max(most_running, running);
  while (held) co_await clock_.sleep(1ms);
}

Task<http::Response> FakeOrigin::prefetch(http::Request& request) {
  prefetched.push_back(asked_for(request));
  const Counted counted(running);
  co_await pass();
  co_return http::text_response(blobs.contains(api::param(request, "digest")) ? 200 : prefetch_status);
}

Task<http::Response> FakeOrigin::metainfo(http::Request& request) {
  heated.push_back(asked_for(request));
  const Counted counted(running);
  co_await pass();
  co_return http::text_response(metainfo_status);
}

Task<http::Response> FakeOrigin::start(http::Request& request) {
  upload_namespace = api::param(request, "namespace");
  ++uploads;
  if (start_status != 200) co_return http::text_response(start_status);
  const std::string id = fmt::format("upload-{}", uploads);
  pending_uploads_[id];
  http::Response response = http::text_response(200);
  response.headers.set("Location", id);
  co_return response;
}

Task<http::Response> FakeOrigin::patch(http::Request& request) {
  auto text = co_await request.body->text(64 * MiB);
  if (!text) co_return http::text_response(500);
  pending_uploads_[api::param(request, "uid")] += *text;
  co_return http::text_response(200);
}

Task<http::Response> FakeOrigin::commit(http::Request& request) {
  const std::string bytes = pending_uploads_[api::param(request, "uid")];
  const std::string digest = api::param(request, "digest");
  if (Digest::of(bytes).str() != digest) co_return http::text_response(500, "wrong digest");
  blobs[digest] = bytes;
  co_return http::text_response(200);
}

FakeBuildIndex::FakeBuildIndex(test::World& world) {
  http::Router router;
  router.add("PUT", "/tags/{tag}/digest/{digest}", api::bind(this, &FakeBuildIndex::put));
  router.add("GET", "/tags/{tag}", api::bind(this, &FakeBuildIndex::get));
  router.add("GET", "/list/*", api::bind(this, &FakeBuildIndex::list));
  address_ = world.serve(std::move(router));
}

Task<http::Response> FakeBuildIndex::put(http::Request& request) {
  last_put = request.target;
  tags[api::param(request, "tag")] = api::param(request, "digest");
  co_return http::text_response(200);
}

Task<http::Response> FakeBuildIndex::get(http::Request& request) {
  const auto found = tags.find(api::param(request, "tag"));
  co_return found == tags.end() ? http::text_response(404) : http::text_response(200, found->second);
}

Task<http::Response> FakeBuildIndex::list(http::Request&) {
  std::string names;
  for (const auto& [name, digest] : tags) names += fmt::format("{}\"{}\"", names.empty() ? "" : ",", name);
  co_return http::text_response(200, fmt::format("{{\"Links\":{{\"next\":\"\"}},\"result\":[{}]}}\n", names));
}

}  // namespace krakend::proxy
