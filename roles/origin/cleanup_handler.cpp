#include "roles/origin/cleanup_handler.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "krakend/api/requests.h"

namespace krakend::origin {
namespace {

/// null for an empty list, as Go writes a nil slice.
nlohmann::json list_or_null(const std::vector<std::string>& items) {
  return items.empty() ? nlohmann::json() : nlohmann::json(items);
}

}  // namespace

void CleanupHandler::add_routes(http::Router& router) {
  router.add("POST", "/forcecleanup", api::bind(this, &CleanupHandler::cleanup))
      .add("POST", "/forcecleanup/v2", api::bind(this, &CleanupHandler::cleanup_v2));
}

Task<http::Response> CleanupHandler::cleanup_v2(http::Request& /*request*/) {
  co_return http::text_response(501, "migration to disk.Store not yet done");
}

Task<http::Response> CleanupHandler::cleanup(http::Request& request) {
  const std::string text = request.query_param("ttl_hr").value_or("");
  int hours = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), hours);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    co_return http::text_response(400, fmt::format("ttl_hr is \"{}\", not a number of hours", text));
  const auto oldest = services_.clock.wall() - std::chrono::hours(hours);
  std::vector<std::string> deleted;
  std::vector<std::string> errors;
  for (unsigned shard = 0; shard < storage::BlobStore::shards; ++shard) {
    auto entries = co_await services_.store.scan(shard);
    if (!entries) co_return api::error_with_status(500, entries.error());
    for (const storage::BlobEntry& entry : *entries) {
      const auto owners = services_.ring.locations(entry.digest);
      const bool owned = std::find(owners.begin(), owners.end(), self_) != owners.end();
      if (owned && entry.modified >= oldest) continue;
      auto removed = co_await remove(entry.digest);
      if (removed)
        deleted.push_back(entry.digest.hex());
      else
        errors.push_back(fmt::format("{}: {}", entry.digest.hex(), removed.error().message));
    }
  }
  log_.info("forced cleanup: {} blobs deleted, {} failed", deleted.size(), errors.size());
  const nlohmann::json answer{{"deleted", list_or_null(deleted)}, {"errors", list_or_null(errors)}};
  co_return http::json_response(200,
                                answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

Task<Result<void>> CleanupHandler::remove(Digest digest) {
  auto persist = co_await services_.store.persist(digest);
  if (!persist) co_return propagate(persist);
  if (*persist) {
    auto written = co_await services_.write_back.finish(digest);
    if (!written) co_return written;
    auto cleared = co_await services_.store.set_persist(digest, false);
    if (!cleared) co_return cleared;
  }
  co_return co_await services_.engine.remove(digest);
}

}  // namespace krakend::origin
