#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "krakend/registry/registry.h"
#include "registry/blobs.h"
#include "registry/errors.h"
#include "registry/listings.h"
#include "registry/manifests.h"
#include "registry/paths.h"
#include "registry/uploads.h"

namespace krakend::registry {

namespace {

/// Methods of an endpoint, as in an Allow header.
std::string_view allowed_methods(Endpoint endpoint, bool writable) {
  switch (endpoint) {
    case Endpoint::manifest:
      return writable ? "GET, HEAD, PUT" : "GET, HEAD";
    case Endpoint::upload_start:
      return writable ? "POST" : "";
    case Endpoint::upload:
      return writable ? "GET, HEAD, PATCH, PUT, DELETE" : "";
    default:
      return "GET, HEAD";
  }
}

bool is_allowed(std::string_view methods, std::string_view method) {
  for (size_t begin = 0; begin < methods.size();) {
    const size_t end = std::min(methods.find(", ", begin), methods.size());
    if (methods.substr(begin, end - begin) == method) return true;
    begin = end + 2;
  }
  return false;
}

bool is_write(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

http::Response root_response() {
  http::Response response;
  response.headers.set("Cache-Control", "no-cache");
  response.content_length = 0;
  return response;
}

/// The answer to HEAD is that to GET without its body.
void strip_body(http::Response& response) {
  if (const auto* text = std::get_if<std::string>(&response.body)) response.content_length = text->size();
  if (const auto* range = std::get_if<http::ContentRange>(&response.body))
    response.content_length = range->length;
  response.body = std::monostate{};
}

}  // namespace

struct RegistryHandler::Impl {
  Impl(io::Loop& loop, Transfer& transfer_in, RegistryOptions options, Logger log)
      : transfer(transfer_in),
        blobs(transfer_in),
        manifest_store(loop, transfer_in, options.manifest_size_max),
        referrers(loop, transfer_in, manifest_store),
        manifests(loop, transfer_in, manifest_store, referrers, log),
        uploads(transfer_in, options, log),
        listings(transfer_in) {}

  Task<http::Response> dispatch(http::Request& request) {
    ParsedPath parsed = parse_path(request.path);
    if (!parsed.found) co_return page_not_found();
    if (parsed.error) co_return registry_errors(400, {std::move(*parsed.error)});
    Target target = std::move(parsed.target);
    const std::string_view allowed = allowed_methods(target.endpoint, transfer.writable());
    if (!is_allowed(allowed, request.method)) {
      const bool read_only = !transfer.writable() && is_write(request.method);
      co_return method_not_allowed(allowed, read_only ? "this registry is read-only: push to the proxy"
                                                      : "the operation is not supported");
    }
    co_return co_await serve(request, std::move(target));
  }

  Task<http::Response> serve(http::Request& request, Target target) {
    switch (target.endpoint) {
      case Endpoint::root:
        co_return root_response();
      case Endpoint::base:
        co_return http::json_response(200, "{}");
      case Endpoint::catalog:
        co_return co_await listings.catalog(request);
      case Endpoint::tags:
        co_return co_await listings.tags(request, std::move(target.name));
      case Endpoint::blob:
        co_return co_await blobs.get(request, std::move(target.name), *target.digest);
      case Endpoint::manifest:
        if (request.method == "PUT") co_return co_await manifests.put(request, std::move(target));
        co_return co_await manifests.get(request, std::move(target));
      case Endpoint::referrers:
        co_return co_await referrers.list(request, std::move(target.name), *target.digest);
      case Endpoint::upload_start:
        co_return co_await uploads.start(request, std::move(target.name));
      case Endpoint::upload:
        co_return co_await uploads.handle(request, std::move(target.name), std::move(target.upload));
    }
    co_return page_not_found();
  }

  Transfer& transfer;
  BlobEndpoint blobs;
  ManifestStore manifest_store;
  Referrers referrers;
  ManifestEndpoint manifests;
  UploadEndpoint uploads;
  ListingEndpoint listings;
};

RegistryHandler::RegistryHandler(io::Loop& loop, Transfer& transfer, RegistryOptions options, Logger log)
    : impl_(std::make_unique<Impl>(loop, transfer, options, std::move(log))) {}

RegistryHandler::~RegistryHandler() = default;

Task<http::Response> RegistryHandler::handle(http::Request& request) {
  http::Response response = co_await impl_->dispatch(request);
  response.headers.set("Docker-Distribution-Api-Version", "registry/2.0");
  if (request.method == "HEAD") strip_body(response);
  co_return response;
}

Task<> RegistryHandler::sweep_uploads() {
  co_await impl_->uploads.sweep();
}

}  // namespace krakend::registry
