#include "roles/build_index/build_index.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "krakend/api/clients.h"
#include "krakend/api/lookup_cache.h"
#include "krakend/api/operations.h"
#include "krakend/api/requests.h"
#include "krakend/core/internal_tags.h"
#include "krakend/io/task_group.h"
#include "roles/build_index/dependency_resolver.h"
#include "roles/build_index/listing.h"
#include "roles/build_index/tag_store.h"

namespace krakend::build_index {
namespace {

/// Bodies of the duplicate calls; the larger one lists the dependencies of an image.
constexpr uint64_t max_duplicate_body = 1 * MiB;
/// Of all lists that are kept together.
constexpr size_t max_list_bytes = 64 * MiB;
constexpr size_t max_lists = 10'000;
constexpr size_t max_tags = 100'000;

using Names = std::shared_ptr<const std::vector<std::string>>;
using ListCache = api::LookupCache<std::string, Names>;

size_t bytes_of(const Names& names) {
  size_t bytes = 0;
  for (const std::string& name : *names) bytes += name.size() + sizeof name;
  return bytes;
}

/// What other clusters are told to push to: the name, where there is one (contract core-formats §13).
std::string pick_origin(const cluster::HostsOptions& origins, io::Random& random) {
  if (!origins.dns.empty()) return origins.dns;
  return origins.fixed.empty() ? std::string() : origins.fixed[random.below(origins.fixed.size())];
}

/// The reference answers 500 for whatever goes wrong behind a well-formed request.
http::Response server_error(const Error& error) {
  return api::error_with_status(500, error);
}

}  // namespace

struct BuildIndex::Impl {
  Impl(api::Services s, backend::Backends& backends, BuildIndexOptions o)
      : services(std::move(s)),
        options(std::move(o)),
        log(services.log.module("build_index")),
        origin_hosts(services.loop, services.net, services.clock, options.origins, log),
        origins({services.loop, services.client, services.clock, services.random}, origin_hosts.hosts(), log),
        origin_address(pick_origin(options.origins, services.random)),
        tasks(services.loop, log),
        tags(backends),
        tag_cache(services.loop, services.clock, {options.cache.tag_ttl, 0s, max_tags}),
        lists(services.loop, services.clock,
              {options.cache.list_ttl, options.cache.error_ttl, max_lists, max_list_bytes}, bytes_of),
        repositories(services.loop, services.clock,
                     {options.cache.repository_ttl, options.cache.error_ttl, max_lists, max_list_bytes},
                     bytes_of),
        resolver({services.loop, services.clock, services.random, tasks, origins, tags}) {}

  http::Router router();
  Task<http::Response> health(http::Request& request);
  Task<http::Response> readiness(http::Request& request);
  Task<http::Response> put_tag(http::Request& request);
  Task<http::Response> get_tag(http::Request& request);
  Task<http::Response> delete_tag(http::Request& request);
  Task<http::Response> list(http::Request& request);
  Task<http::Response> list_repository(http::Request& request);
  Task<http::Response> replicate_tag(http::Request& request);
  Task<http::Response> duplicate_put(http::Request& request);
  Task<http::Response> duplicate_replicate(http::Request& request);
  Task<http::Response> origin(http::Request& request);

  Task<Result<Digest>> find_tag(std::string tag);
  Task<Result<Names>> names_below(ListCache& cache, std::string prefix);
  Task<Result<Names>> read_names(std::string prefix);
  void changed(const std::string& tag);
  Task<Result<void>> check_dependencies(std::string tag, Digest digest);
  Task<Result<void>> read_duplicate_body(http::Request& request);

  api::Services services;
  const BuildIndexOptions options;
  Logger log;
  cluster::HostWatch origin_hosts;
  api::OriginCluster origins;
  const std::string origin_address;
  io::TaskGroup tasks;
  TagStore tags;
  api::LookupCache<std::string, Digest> tag_cache;
  ListCache lists;
  ListCache repositories;
  DependencyResolver resolver;
};

BuildIndex::BuildIndex(api::Services services, backend::Backends& backends, BuildIndexOptions options)
    : impl_(std::make_unique<Impl>(std::move(services), backends, std::move(options))) {}
BuildIndex::~BuildIndex() = default;

Result<io::Address> BuildIndex::start() {
  for (const auto& [regex, type] : impl_->options.tag_types) {
    auto added = impl_->resolver.add_rule(regex, type);
    if (!added) return propagate(added);
  }
  http::ListenOptions listen;
  listen.name = "build-index";
  listen.address = impl_->options.listen;
  listen.tls = impl_->services.tls;
  listen.max_body = http::small_body;
  return impl_->services.server.listen(std::move(listen), impl_->router());
}

void BuildIndex::configure(const BuildIndexOptions& options) {
  impl_->origin_hosts.configure(options.origins);
}

Task<> BuildIndex::stop() {
  co_await impl_->tasks.stop();
  co_await impl_->origins.stop();
}

http::Router BuildIndex::Impl::router() {
  using api::bind;
  http::Router router(http::Router::WrongMethod::method_not_allowed);
  api::add_operations(router, services);
  router.add("GET", "/health", bind(this, &Impl::health))
      .add("GET", "/readiness", api::readiness(services, bind(this, &Impl::readiness)))
      .add("PUT", "/tags/{tag}/digest/{digest}", bind(this, &Impl::put_tag))
      .add("GET", "/tags/{tag}", bind(this, &Impl::get_tag))
      .add("HEAD", "/tags/{tag}", bind(this, &Impl::get_tag))
      .add("DELETE", "/tags/{tag}", bind(this, &Impl::delete_tag))
      .add("GET", "/repositories/{repo}/tags", bind(this, &Impl::list_repository))
      .add("GET", "/list/*", bind(this, &Impl::list))
      .add("POST", "/remotes/tags/{tag}", bind(this, &Impl::replicate_tag))
      .add("PUT", "/internal/duplicate/tags/{tag}/digest/{digest}", bind(this, &Impl::duplicate_put))
      .add("POST", "/internal/duplicate/remotes/tags/{tag}/digest/{digest}",
           bind(this, &Impl::duplicate_replicate))
      .add("GET", "/origin", bind(this, &Impl::origin));
  return router;
}

Task<http::Response> BuildIndex::Impl::health(http::Request& /*request*/) {
  co_return api::ok_response();
}

Task<http::Response> BuildIndex::Impl::readiness(http::Request& /*request*/) {
  auto ready = co_await origins.ready();
  if (!ready) co_return api::error_with_status(503, ready.error());
  co_return api::ok_response();
}

/// Contract http-api §6.3. A tag that is put again changes; the reference keeps the old digest.
Task<http::Response> BuildIndex::Impl::put_tag(http::Request& request) {
  const std::string tag = api::param(request, "tag");
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  // Accepted for the sake of the callers: with no remote configured there is nothing to replicate to.
  auto replicate = api::bool_query(request, "replicate");
  if (!replicate) co_return http::error_response(replicate.error());
  auto complete = co_await check_dependencies(tag, *digest);
  if (!complete) co_return server_error(complete.error());
  auto stored = co_await tags.put(tag, *digest);
  changed(tag);
  if (!stored) co_return server_error(stored.error());
  log.info("tag {} is {}", tag, digest->str());
  co_return http::text_response(200);
}

/// Our own notes are read by programs that wait for them to change.
Task<Result<Digest>> BuildIndex::Impl::find_tag(std::string tag) {
  if (is_internal_tag(tag)) co_return co_await tags.get(std::move(tag));
  std::function<Task<Result<Digest>>()> fetch = [this, tag] { return tags.get(tag); };
  co_return co_await tag_cache.get(tag, fetch);
}

Task<Result<Names>> BuildIndex::Impl::names_below(ListCache& cache, std::string prefix) {
  if (is_internal_tag(prefix)) co_return co_await read_names(std::move(prefix));
  std::function<Task<Result<Names>>()> fetch = [this, prefix] { return read_names(prefix); };
  co_return co_await cache.get(prefix, fetch);
}

Task<Result<Names>> BuildIndex::Impl::read_names(std::string prefix) {
  auto names = co_await tags.list(std::move(prefix));
  if (!names) co_return propagate(names);
  co_return std::make_shared<const std::vector<std::string>>(std::move(*names));
}

/// Also after a failure, which may have come after the change.
void BuildIndex::Impl::changed(const std::string& tag) {
  tag_cache.forget(tag);
  lists.clear();
  repositories.clear();
}

/// A tag may name only what is there whole. Notes of our own name blobs, or what is no more.
Task<Result<void>> BuildIndex::Impl::check_dependencies(std::string tag, Digest digest) {
  if (is_internal_tag(tag)) co_return Result<void>{};
  auto dependencies = co_await resolver.resolve(tag, digest);
  if (!dependencies) co_return propagate(dependencies);
  co_return co_await resolver.check(tag, std::move(*dependencies));
}

/// Not in the reference, where a tag lives for ever.
Task<http::Response> BuildIndex::Impl::delete_tag(http::Request& request) {
  const std::string tag = api::param(request, "tag");
  auto removed = co_await tags.remove(tag);
  changed(tag);
  if (!removed) {
    const Errc code = removed.error().code;
    if (code == Errc::not_found || code == Errc::invalid_argument) co_return http::text_response(404);
    co_return server_error(removed.error());
  }
  log.info("tag {} deleted", tag);
  co_return http::text_response(202);
}

Task<http::Response> BuildIndex::Impl::get_tag(http::Request& request) {
  auto digest = co_await find_tag(api::param(request, "tag"));
  if (digest) co_return http::text_response(200, digest->str());
  const Errc code = digest.error().code;
  // A name that no backend can hold is simply not there.
  if (code == Errc::not_found || code == Errc::invalid_argument) co_return http::text_response(404);
  co_return server_error(digest.error());
}

Task<http::Response> BuildIndex::Impl::list(http::Request& request) {
  auto paging = parse_paging(request.query);
  if (!paging) co_return http::error_response(paging.error());
  auto names = co_await names_below(lists, api::param(request, "*"));
  if (!names) co_return server_error(names.error());
  const Page page = take_page(**names, *paging);
  co_return http::text_response(
      200, list_response_json(request.target, request.path, *paging, page.names, page.next));
}

Task<http::Response> BuildIndex::Impl::list_repository(http::Request& request) {
  auto paging = parse_paging(request.query);
  if (!paging) co_return http::error_response(paging.error());
  auto names = co_await names_below(repositories, api::param(request, "repo") + "/_manifests/tags");
  if (!names) co_return server_error(names.error());
  const Page page = take_page(**names, *paging);
  co_return http::text_response(
      200, list_response_json(request.target, request.path, *paging, tags_of(page.names), page.next));
}

/// No remote is configured, so none matches the tag: a lookup is all there is to do (contract http-api §6.7).
Task<http::Response> BuildIndex::Impl::replicate_tag(http::Request& request) {
  auto digest = co_await tags.get(api::param(request, "tag"));
  if (digest) co_return http::text_response(200);
  if (digest.error().code == Errc::not_found) co_return http::text_response(404);
  co_return server_error(digest.error());
}

/// The delay staggers write-backs of neighbours; here the tag is written at once, which a write-through store
/// of the reference does too (contract http-api §6.8).
Task<http::Response> BuildIndex::Impl::duplicate_put(http::Request& request) {
  const std::string tag = api::param(request, "tag");
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  auto body = co_await read_duplicate_body(request);
  if (!body) co_return server_error(body.error());
  auto stored = co_await tags.put(tag, *digest);
  changed(tag);
  if (!stored) co_return server_error(stored.error());
  log.info("tag {} is {} (from a neighbour)", tag, digest->str());
  co_return http::text_response(200);
}

Task<http::Response> BuildIndex::Impl::duplicate_replicate(http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) co_return server_error(digest.error());
  auto body = co_await read_duplicate_body(request);
  if (!body) co_return server_error(body.error());
  co_return http::text_response(200);
}

Task<Result<void>> BuildIndex::Impl::read_duplicate_body(http::Request& request) {
  auto body = co_await request.body->text(max_duplicate_body);
  if (!body) co_return propagate(body);
  if (!nlohmann::json::parse(*body, nullptr, false).is_object())
    co_return fail(Errc::invalid_argument, "decode body: expected a JSON object with \"delay\"");
  co_return Result<void>{};
}

Task<http::Response> BuildIndex::Impl::origin(http::Request& /*request*/) {
  co_return http::text_response(200, origin_address);
}

}  // namespace krakend::build_index
