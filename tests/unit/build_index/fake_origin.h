#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "krakend/api/requests.h"
#include "support/world.h"

namespace krakend::test {

/// A cluster's origin with a few blobs, which says that it copies what it is asked to copy.
class FakeOrigin {
 public:
  explicit FakeOrigin(World& world) {
    http::Router router;
    using api::bind;
    router.add("GET", "/blobs/{digest}/locations", bind(this, &FakeOrigin::locations))
        .add("GET", "/readiness", bind(this, &FakeOrigin::readiness))
        .add("HEAD", "/internal/namespace/{namespace}/blobs/{digest}", bind(this, &FakeOrigin::stat))
        .add("GET", "/namespace/{namespace}/blobs/{digest}", bind(this, &FakeOrigin::download))
        .add("POST", "/namespace/{namespace}/blobs/{digest}/remote/{remote}", bind(this, &FakeOrigin::copy));
    address = world.serve(std::move(router));
  }
  Digest add(const std::string& content) {
    const Digest digest = Digest::of(content);
    blobs[digest] = content;
    return digest;
  }

  io::Address address;
  std::map<Digest, std::string> blobs;
  std::set<std::string> namespaces;
  int downloads = 0;
  /// Downloads that say 404 before the blob appears.
  int hidden = 0;
  /// "<namespace> <digest> <remote>"
  std::vector<std::string> copies;
  int copy_status = 200;

 private:
  Task<http::Response> locations(http::Request&) {
    http::Response response = http::text_response(200);
    response.headers.set("Origin-Locations", address.str());
    co_return response;
  }
  Task<http::Response> readiness(http::Request&) { co_return api::ok_response(); }
  Task<http::Response> stat(http::Request& request) {
    namespaces.insert(api::param(request, "namespace"));
    const auto found = blobs.find(*api::digest_param(request));
    if (found == blobs.end()) co_return http::text_response(404);
    http::Response response;
    response.content_length = found->second.size();
    co_return response;
  }
  Task<http::Response> download(http::Request& request) {
    namespaces.insert(api::param(request, "namespace"));
    ++downloads;
    const auto found = blobs.find(*api::digest_param(request));
    if (found == blobs.end() || downloads <= hidden) co_return http::text_response(404);
    co_return http::text_response(200, found->second);
  }
  Task<http::Response> copy(http::Request& request) {
    copies.push_back(fmt::format("{} {} {}", api::param(request, "namespace"),
                                 api::digest_param(request)->str(), api::param(request, "remote")));
    co_return http::text_response(copy_status, "as the test wants it");
  }
};

}  // namespace krakend::test
