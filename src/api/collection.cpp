#include "krakend/api/collection.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "api/call.h"
#include "krakend/core/units.h"
#include "krakend/core/url.h"

namespace krakend::api {

namespace {

using Json = nlohmann::json;

/// Some 70 bytes a blob.
constexpr uint64_t inventory_size_max = GiB;
constexpr Duration inventory_limit = 10min;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Calls `read` with the document; whatever is missing or of another type in it is one error.
template <class T, class Read>
Result<T> parse_with(std::string_view text, std::string_view what, Read read) {
  const Json document = Json::parse(text, nullptr, false);
  try {
    if (document.is_object()) return read(document);
  } catch (const Json::exception&) {
  }
  return fail(Errc::protocol, "{} is not as it should be", what);
}

Json hex_list(const std::vector<Digest>& digests) {
  Json list = Json::array();
  for (const Digest& digest : digests) list.push_back(digest.hex());
  return list;
}

Result<std::vector<Digest>> read_hex_list(const Json& list) {
  std::vector<Digest> digests;
  digests.reserve(list.size());
  for (const Json& item : list) {
    auto digest = Digest::parse_hex(item.get_ref<const std::string&>());
    if (!digest) return propagate(digest);
    digests.push_back(*digest);
  }
  return digests;
}

}  // namespace

std::string BlobInventory::json() const {
  return dump({{"cluster", cluster}, {"cached", hex_list(cached)}, {"stored", hex_list(stored)}});
}

Result<BlobInventory> BlobInventory::parse(std::string_view text) {
  return parse_with<BlobInventory>(text, "the list of blobs", [](const Json& json) -> Result<BlobInventory> {
    auto cached = read_hex_list(json.at("cached"));
    if (!cached) return propagate(cached);
    auto stored = read_hex_list(json.at("stored"));
    if (!stored) return propagate(stored);
    return BlobInventory{json.at("cluster").get<std::vector<std::string>>(), std::move(*cached),
                         std::move(*stored)};
  });
}

std::string CollectionRequest::json() const {
  return dump({{"namespace", ns},
               {"digests", hex_list(digests)},
               {"unused_for_ns", unused_for.count()},
               {"dry_run", dry_run},
               {"backend", backend}});
}

Result<CollectionRequest> CollectionRequest::parse(std::string_view text) {
  return parse_with<CollectionRequest>(
      text, "the collection request", [](const Json& json) -> Result<CollectionRequest> {
        auto digests = read_hex_list(json.at("digests"));
        if (!digests) return propagate(digests);
        return CollectionRequest{json.at("namespace").get<std::string>(), std::move(*digests),
                                 Duration(json.at("unused_for_ns").get<Duration::rep>()),
                                 json.at("dry_run").get<bool>(), json.at("backend").get<bool>()};
      });
}

std::string CollectionAnswer::json() const {
  Json sizes = Json::object();
  for (const auto& [digest, size] : done) sizes[digest.hex()] = size;
  Json reasons = Json::object();
  for (const auto& [digest, reason] : refused) reasons[digest.hex()] = reason;
  return dump({{"done", std::move(sizes)}, {"refused", std::move(reasons)}});
}

Result<CollectionAnswer> CollectionAnswer::parse(std::string_view text) {
  return parse_with<CollectionAnswer>(text, "the answer to the collection",
                                      [](const Json& json) -> Result<CollectionAnswer> {
                                        CollectionAnswer answer;
                                        for (const auto& [hex, size] : json.at("done").items()) {
                                          auto digest = Digest::parse_hex(hex);
                                          if (!digest) return propagate(digest);
                                          answer.done[*digest] = size.get<uint64_t>();
                                        }
                                        for (const auto& [hex, reason] : json.at("refused").items()) {
                                          auto digest = Digest::parse_hex(hex);
                                          if (!digest) return propagate(digest);
                                          answer.refused[*digest] = reason.get<std::string>();
                                        }
                                        return answer;
                                      });
}

Task<Result<BlobInventory>> CollectionClient::inventory(std::string ns, bool backend) {
  auto request = make_request("GET", host_,
                              fmt::format("/x/gc/blobs?namespace={}&backend={}", query_escape(ns), backend),
                              inventory_limit);
  if (!request) co_return propagate(request);
  request->idle_timeout = inventory_limit;
  request->max_text = inventory_size_max;
  auto response = co_await call(client_, std::move(*request));
  if (!response) co_return propagate(response);
  co_return BlobInventory::parse(response->body);
}

Task<Result<CollectionAnswer>> CollectionClient::send(std::string what, CollectionRequest sent) {
  auto request = make_request("POST", host_, "/x/gc/" + what, limits::remove);
  if (!request) co_return propagate(request);
  request->body = sent.json();
  auto response = co_await call(client_, std::move(*request));
  if (!response) co_return propagate(response);
  co_return CollectionAnswer::parse(response->body);
}

}  // namespace krakend::api
