#include "roles/agent/agent_api.h"

#include <string>
#include <utility>

#include "krakend/api/operations.h"
#include "krakend/api/requests.h"
#include "krakend/registry/registry.h"
#include "roles/agent/swarm_transfer.h"

namespace krakend::agent {

namespace {

http::Response bad_digest(const Error& error) {
  return http::text_response(400, fmt::format("parse digest: {}", error.message));
}

/// The status codes of the agent API: absent is an empty 404, whatever else fails is 500.
http::Response failure(const Error& error) {
  if (error.code == Errc::not_found) return http::text_response(404);
  return http::text_response(500, error.message);
}

}  // namespace

void AgentApi::add_health(http::Router& router) {
  router.add("GET", "/health", [this](http::Request&) { return health(); });
  router.add("GET", "/readiness", api::readiness(services_, [this](http::Request&) { return ready(); }));
}

void AgentApi::add_api(http::Router& router) {
  router.add("GET", "/tags/{tag}", [this](http::Request& request) { return tag(request); });
  router.add("GET", "/namespace/{namespace}/blobs/{digest}",
             [this](http::Request& request) { return blob(request); });
  router.add("DELETE", "/blobs/{digest}", [this](http::Request& request) { return remove(request); });
  router.add("GET", "/x/torrents", [this](http::Request&) { return torrents(); });
  router.add("GET", "/x/torrents/{digest}", [this](http::Request& request) { return torrent(request); });
  router.add("GET", "/x/blacklist", [this](http::Request&) { return blacklist(); });
  router.add("PATCH", "/x/config/scheduler", [this](http::Request& request) { return configure(request); });
}

// An answer at all means that the loop, and with it the engine, is alive.
Task<http::Response> AgentApi::health() {
  co_return http::text_response(200, "OK");
}

Task<http::Response> AgentApi::ready() {
  std::string failures = co_await readiness_.failures();
  if (!failures.empty()) co_return http::text_response(503, std::move(failures));
  co_return http::text_response(200, "OK");
}

Task<http::Response> AgentApi::tag(http::Request& request) {
  auto digest = co_await tags_.get(api::param(request, "tag"));
  if (!digest) co_return failure(digest.error());
  co_return http::text_response(200, digest->str());
}

Task<http::Response> AgentApi::blob(http::Request& request) {
  const auto digest = Digest::parse_any(api::param(request, "digest"));
  if (!digest) co_return bad_digest(digest.error());
  auto opened = co_await engine_.open(api::param(request, "namespace"), *digest);
  pulls_.opened(opened);
  if (!opened) co_return failure(opened.error());
  auto response =
      registry::content_response(request, std::move(opened->content), *digest, source_name(opened->source));
  response.unless_ready = failure;
  co_return response;
}

Task<http::Response> AgentApi::remove(http::Request& request) {
  const auto digest = Digest::parse_any(api::param(request, "digest"));
  if (!digest) co_return bad_digest(digest.error());
  auto removed = co_await engine_.remove(*digest);
  if (!removed && removed.error().code != Errc::not_found)
    co_return http::text_response(500, removed.error().message);
  co_return http::text_response(200);
}

Task<http::Response> AgentApi::configure(http::Request& request) {
  constexpr uint64_t max_body = 64 * KiB;
  auto body = co_await request.body->text(max_body);
  if (!body) co_return http::text_response(400, body.error().message);
  auto wanted = p2p::parse_engine_options(*body, {});
  if (!wanted) co_return http::text_response(400, wanted.error().message);
  auto configured = engine_.configure(*wanted);
  if (!configured) co_return http::text_response(500, configured.error().message);
  co_return http::text_response(200);
}

Task<http::Response> AgentApi::torrents() {
  co_return http::json_response(200, p2p::torrents_json(engine_.torrents()));
}

Task<http::Response> AgentApi::torrent(http::Request& request) {
  const auto digest = Digest::parse_any(api::param(request, "digest"));
  if (!digest) co_return bad_digest(digest.error());
  const auto status = engine_.torrent(*digest);
  if (!status)
    co_return http::text_response(404, "blob " + digest->str() + " is neither fetched nor seeded now");
  co_return http::json_response(200, p2p::torrent_json(*status));
}

Task<http::Response> AgentApi::blacklist() {
  co_return http::text_response(200, p2p::blacklist_json(engine_.blacklist()));
}

}  // namespace krakend::agent
