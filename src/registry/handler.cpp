#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "krakend/registry/registry.h"
#include "registry/aliases.h"
#include "registry/blob_guard.h"
#include "registry/blobs.h"
#include "registry/deletes.h"
#include "registry/errors.h"
#include "registry/listings.h"
#include "registry/manifests.h"
#include "registry/paths.h"
#include "registry/public_url.h"
#include "registry/uploads.h"
#include "registry/usage.h"

namespace krakend::registry {

namespace {

/// Methods of an endpoint, as in an Allow header.
std::string_view allowed_methods(Endpoint endpoint, bool writable, bool deletes) {
  switch (endpoint) {
    case Endpoint::manifest:
      if (deletes) return "GET, HEAD, PUT, DELETE";
      return writable ? "GET, HEAD, PUT" : "GET, HEAD";
    case Endpoint::blob:
      return deletes ? "GET, HEAD, DELETE" : "GET, HEAD";
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
  return method == "POST" || method == "PUT" || method == "PATCH" || method == "DELETE";
}

/// A tag that cannot exist is simply not there to those who look for it.
http::Response path_error(ErrorEntry error, std::string_view method) {
  if (error.code != code::tag_invalid || method == "PUT") return registry_errors(400, {std::move(error)});
  error.code = code::manifest_unknown;
  return registry_errors(404, {std::move(error)});
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

/// Whether existing content is meant, by a name that is not its SHA-256.
bool needs_alias(const Target& target, std::string_view method) {
  if (!target.named || target.digest) return false;
  return target.endpoint == Endpoint::blob || (target.endpoint == Endpoint::manifest && method != "PUT");
}

/// The client is answered with the name it asked by.
void rename(http::Response& response, const ContentDigest& name) {
  if (response.headers.has("Docker-Content-Digest"))
    response.headers.set("Docker-Content-Digest", name.str());
  if (response.headers.has("Etag")) response.headers.set("Etag", fmt::format("\"{}\"", name.str()));
}

}  // namespace

struct RegistryHandler::Impl {
  Impl(io::Loop& loop, Transfer& transfer_in, RegistryOptions options, Logger log)
      : transfer(transfer_in),
        deletes_enabled(options.delete_enabled && transfer_in.writable()),
        public_url(options.trusted_proxies),
        guard(loop),
        aliases(transfer_in),
        repositories(transfer_in),
        blobs(transfer_in),
        manifest_store(loop, transfer_in, options.manifest_size_max),
        referrers(loop, transfer_in, manifest_store),
        references(loop, manifest_store, aliases),
        manifests(loop, transfer_in, manifest_store, references, referrers, guard, aliases, log),
        usage(loop, transfer_in, references),
        deletes({loop, transfer_in, manifest_store, referrers, usage, guard, aliases, repositories}, log),
        uploads(transfer_in, aliases, options, log),
        listings(transfer_in, repositories) {}

  Task<http::Response> dispatch(http::Request& request) {
    ParsedPath parsed = parse_path(request.path);
    if (!parsed.found) co_return page_not_found();
    if (parsed.error) co_return path_error(std::move(*parsed.error), request.method);
    Target target = std::move(parsed.target);
    const std::string_view allowed = allowed_methods(target.endpoint, transfer.writable(), deletes_enabled);
    if (!is_allowed(allowed, request.method)) {
      co_return method_not_allowed(allowed, why_not_allowed(request.method));
    }
    if (!needs_alias(target, request.method)) co_return co_await serve(request, std::move(target));
    const ContentDigest name = *target.named;
    auto digest = co_await aliases.resolve(name);
    if (!digest) {
      const auto unknown = target.endpoint == Endpoint::blob ? code::blob_unknown : code::manifest_unknown;
      co_return transfer_error(digest.error(), unknown, json_quote(name.str()));
    }
    target.digest = *digest;
    http::Response response = co_await serve(request, std::move(target));
    rename(response, name);
    co_return response;
  }

  std::string_view why_not_allowed(std::string_view method) const {
    if (!transfer.writable() && is_write(method)) return "this registry is read-only: push to the proxy";
    if (method == "DELETE" && !deletes_enabled)
      return "deleting is off here: registry.delete_enabled turns it on";
    return "the operation is not supported";
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
        if (request.method == "DELETE") co_return co_await deletes.blob(std::move(target));
        co_return co_await blobs.get(request, std::move(target.name), *target.digest);
      case Endpoint::manifest:
        if (request.method == "DELETE") co_return co_await deletes.manifest(std::move(target));
        if (request.method == "PUT") co_return co_await manifests.put(request, std::move(target));
        co_return co_await manifests.get(request, std::move(target));
      case Endpoint::referrers:
        co_return co_await referrers.list(request, std::move(target.name), *target.named);
      case Endpoint::upload_start:
        co_return co_await uploads.start(request, std::move(target.name));
      case Endpoint::upload:
        co_return co_await uploads.handle(request, std::move(target.name), std::move(target.upload));
    }
    co_return page_not_found();
  }

  Transfer& transfer;
  const bool deletes_enabled;
  const PublicUrl public_url;
  BlobGuard guard;
  Aliases aliases;
  Repositories repositories;
  BlobEndpoint blobs;
  ManifestStore manifest_store;
  Referrers referrers;
  ReferenceReader references;
  ManifestEndpoint manifests;
  Usage usage;
  DeleteEndpoint deletes;
  UploadEndpoint uploads;
  ListingEndpoint listings;
};

RegistryHandler::RegistryHandler(io::Loop& loop, Transfer& transfer, RegistryOptions options, Logger log)
    : impl_(std::make_unique<Impl>(loop, transfer, options, std::move(log))) {}

RegistryHandler::~RegistryHandler() = default;

Task<http::Response> RegistryHandler::handle(http::Request& request) {
  http::Response response = co_await impl_->dispatch(request);
  response.headers.set("Docker-Distribution-Api-Version", "registry/2.0");
  impl_->public_url.apply(request, response);
  if (request.method == "HEAD") strip_body(response);
  co_return response;
}

void RegistryHandler::configure(const RegistryOptions& options) {
  impl_->uploads.configure(options);
}

Task<> RegistryHandler::stop() {
  co_await impl_->usage.stop();
}

void RegistryHandler::adopt_uploads(std::vector<storage::KeptUpload> kept, const io::Clock& clock) {
  impl_->uploads.adopt(std::move(kept), clock);
}

Task<> RegistryHandler::sweep_uploads(TimePoint now) {
  co_await impl_->uploads.sweep(now);
}

}  // namespace krakend::registry
