#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "krakend/http/message.h"
#include "krakend/registry/registry.h"
#include "registry/repositories.h"

namespace krakend::registry {

/// GET /v2/<name>/tags/list and /v2/_catalog, with `n` and `last`. Loop thread.
class ListingEndpoint {
 public:
  ListingEndpoint(Transfer& transfer, Repositories& repositories)
      : transfer_(transfer), repositories_(repositories) {}
  Task<http::Response> tags(http::Request& request, std::string name);
  Task<http::Response> catalog(http::Request& request);

 private:
  Transfer& transfer_;
  Repositories& repositories_;
};

}  // namespace krakend::registry
