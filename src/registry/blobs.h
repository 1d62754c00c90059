#pragma once

#include <string>

#include "krakend/core/digest.h"
#include "krakend/http/message.h"
#include "krakend/registry/registry.h"

namespace krakend::registry {

/// GET and HEAD of blobs. Loop thread.
class BlobEndpoint {
 public:
  explicit BlobEndpoint(Transfer& transfer) : transfer_(transfer) {}
  /// HEAD asks for the size only; so does a GET that the client's If-None-Match already satisfies.
  Task<http::Response> get(http::Request& request, std::string name, Digest digest);

 private:
  Transfer& transfer_;
};

/// "/v2/<name>/blobs/<digest>"
std::string blob_location(const std::string& name, const ContentDigest& digest);

}  // namespace krakend::registry
