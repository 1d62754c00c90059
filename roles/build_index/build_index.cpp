#include "roles/build_index/build_index.h"

#include <utility>

#include "krakend/api/clients.h"
#include "krakend/api/lookup_cache.h"
#include "krakend/api/operations.h"
#include "krakend/api/requests.h"
#include "krakend/core/internal_tags.h"
#include "krakend/io/task_group.h"
#include "roles/build_index/dependency_resolver.h"
#include "roles/build_index/duplicate_body.h"
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
std::string pick_origin(const BuildIndexOptions& options, io::Random& random) {
  if (!options.advertised_origin.empty()) return options.advertised_origin;
  const cluster::HostsOptions& origins = options.origins;
  if (!origins.dns.empty()) return origins.dns;
  return origins.fixed.empty() ? std::string() : origins.fixed[random.below(origins.fixed.size())];
}

/// The reference answers 500 for whatever goes wrong behind a well-formed request.
http::Response server_error(const Error& error) {
  return api::error_with_status(500, error);
}

}  // namespace

struct BuildIndex::Impl {
  Impl(api::Services s, backend::Backends& backends, retry::TaskTable* replications, BuildIndexOptions o)
      : services(std::move(s)),
        options(std::move(o)),
        log(services.log.module("build_index")),
        origin_hosts(services.loop, services.net, services.clock, options.origins, log),
        origins({services.loop, services.client, services.clock, services.random}, origin_hosts.hosts(), log),
        origin_address(pick_origin(options, services.random)),
        tasks(services.loop, log),
        tags(backends),
        tag_cache(services.loop, services.clock, {options.cache.tag_ttl, 0s, max_tags}),
        lists(services.loop, services.clock,
              {options.cache.list_ttl, options.cache.error_ttl, max_lists, max_list_bytes}, bytes_of),
        repositories(services.loop, services.clock,
                     {options.cache.repository_ttl, options.cache.error_ttl, max_lists, max_list_bytes},
                     bytes_of),
        resolver({services.loop, services.clock, services.random, tasks, origins, tags}),
        neighbours(
            {services.loop, services.net, services.clock, services.random, services.client, services.metrics},
            options.neighbours, log),
        replicator({services.loop, services.clock, services.random, services.client, tasks, replications,
                    origins, resolver, tags, services.metrics},
                   options.replication, log) {}

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
  Task<Result<std::vector<Digest>>> check_dependencies(std::string tag, Digest digest);
  Task<Result<DuplicateBody>> read_duplicate_body(http::Request& request);
  /// What a put carries on to others; `forwarded` says whether another cluster sent it.
  struct Put {
    std::string tag;
    Digest digest;
    bool replicate = false;
    bool forwarded = false;
    bool fill = false;  ///< only where there is no such tag
    std::vector<Digest> dependencies;
  };
  Result<Put> parse_put(const http::Request& request);
  Task<http::Response> carry_on(Put put);
  Task<Result<void>> replicate(std::string tag, Digest digest, std::vector<Digest> dependencies,
                               bool forwarded);
  bool to_replicate(const std::string& tag) const;

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
  Neighbours neighbours;
  TagReplicator replicator;
};

BuildIndex::BuildIndex(api::Services services, backend::Backends& backends, retry::TaskTable* replications,
                       BuildIndexOptions options)
    : impl_(std::make_unique<Impl>(std::move(services), backends, replications, std::move(options))) {}
BuildIndex::~BuildIndex() = default;

Result<io::Address> BuildIndex::start() {
  for (const auto& [regex, type] : impl_->options.tag_types) {
    auto added = impl_->resolver.add_rule(regex, type);
    if (!added) return propagate(added);
  }
  if (auto added = impl_->replicator.add_remotes(impl_->options.remotes); !added) return propagate(added);
  if (auto started = impl_->replicator.start(); !started) return propagate(started);
  impl_->tasks.spawn(impl_->origin_hosts.run(), "origins");
  impl_->tasks.spawn(impl_->neighbours.run(), "neighbours");
  http::ListenOptions listen;
  listen.name = "build-index";
  listen.address = impl_->options.listen;
  listen.tls = impl_->services.tls;
  listen.max_body = http::small_body;
  return impl_->services.server.listen(std::move(listen), impl_->router());
}

void BuildIndex::configure(const BuildIndexOptions& options) {
  impl_->origin_hosts.configure(options.origins);
  impl_->neighbours.configure(options.neighbours.hosts);
}

Task<> BuildIndex::stop() {
  co_await impl_->replicator.stop();
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

Result<BuildIndex::Impl::Put> BuildIndex::Impl::parse_put(const http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) return propagate(digest);
  auto replicate = api::bool_query(request, "replicate");
  if (!replicate) return propagate(replicate);
  return Put{api::param(request, "tag"),
             *digest,
             *replicate,
             request.headers.has(api::forwarded_header),
             request.headers.get("If-None-Match") == "*",
             {}};
}

/// Contract http-api §6.3. A tag that is put again changes; the reference keeps the old digest.
Task<http::Response> BuildIndex::Impl::put_tag(http::Request& request) {
  auto put = parse_put(request);
  if (!put) co_return http::error_response(put.error());
  auto complete = co_await check_dependencies(put->tag, put->digest);
  if (!complete) co_return server_error(complete.error());
  put->dependencies = std::move(*complete);
  if (put->fill) {
    auto there = co_await tags.get(put->tag);
    if (there && *there != put->digest)
      co_return http::text_response(412, fmt::format("tag {} is {}", put->tag, there->str()));
  }
  auto stored = co_await tags.put(put->tag, put->digest);
  changed(put->tag);
  if (!stored) co_return server_error(stored.error());
  log.info("tag {} is {}{}", put->tag, put->digest.str(), put->forwarded ? " (from another cluster)" : "");
  co_return co_await carry_on(std::move(*put));
}

/// The neighbours come first: whatever becomes of the replication, the tag is stored.
Task<http::Response> BuildIndex::Impl::carry_on(Put put) {
  co_await neighbours.tell_put(put.tag, put.digest);
  if (!put.replicate || !to_replicate(put.tag)) co_return http::text_response(200);
  auto added = co_await replicate(put.tag, put.digest, std::move(put.dependencies), put.forwarded);
  if (!added) co_return server_error(added.error());
  co_return http::text_response(200);
}

/// Notes of our own go along with the images that need them.
bool BuildIndex::Impl::to_replicate(const std::string& tag) const {
  return !is_internal_tag(tag) && replicator.wanted(tag);
}

Task<Result<void>> BuildIndex::Impl::replicate(std::string tag, Digest digest,
                                               std::vector<Digest> dependencies, bool forwarded) {
  TagReplicator::Wish wish{tag, digest, dependencies, 0s, forwarded};
  auto added = co_await replicator.add(std::move(wish));
  if (!added) co_return added;
  co_await neighbours.tell_replicate(std::move(tag), digest, std::move(dependencies), forwarded);
  co_return Result<void>{};
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
Task<Result<std::vector<Digest>>> BuildIndex::Impl::check_dependencies(std::string tag, Digest digest) {
  if (is_internal_tag(tag)) co_return std::vector<Digest>();
  auto dependencies = co_await resolver.resolve(tag, digest);
  if (!dependencies) co_return dependencies;
  auto there = co_await resolver.check(tag, *dependencies);
  if (!there) co_return propagate(there);
  co_return dependencies;
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

/// Contract http-api §6.7.
Task<http::Response> BuildIndex::Impl::replicate_tag(http::Request& request) {
  const std::string tag = api::param(request, "tag");
  auto digest = co_await tags.get(tag);
  if (!digest && digest.error().code == Errc::not_found) co_return http::text_response(404);
  if (!digest) co_return server_error(digest.error());
  if (!to_replicate(tag)) co_return http::text_response(200);
  auto dependencies = co_await resolver.resolve(tag, *digest);
  if (!dependencies) co_return server_error(dependencies.error());
  auto added = co_await replicate(tag, *digest, std::move(*dependencies), false);
  if (!added) co_return server_error(added.error());
  co_return http::text_response(200);
}

/// The delay staggers write-backs of neighbours; here the tag is written at once, which a write-through store
/// of the reference does too (contract http-api §6.8).
Task<http::Response> BuildIndex::Impl::duplicate_put(http::Request& request) {
  const std::string tag = api::param(request, "tag");
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  auto body = co_await read_duplicate_body(request);
  if (!body) co_return server_error(body.error());
  // Build-indexes may share a backend, which has it then.
  auto there = co_await tags.get(tag);
  changed(tag);
  if (there && *there == *digest) co_return http::text_response(200);
  auto stored = co_await tags.put(tag, *digest);
  changed(tag);
  if (!stored) co_return server_error(stored.error());
  log.info("tag {} is {} (from a neighbour)", tag, digest->str());
  co_return http::text_response(200);
}

/// By the remotes of this build-index; its neighbours have been told by whoever tells it.
Task<http::Response> BuildIndex::Impl::duplicate_replicate(http::Request& request) {
  const std::string tag = api::param(request, "tag");
  auto digest = api::digest_param(request);
  if (!digest) co_return server_error(digest.error());
  auto body = co_await read_duplicate_body(request);
  if (!body) co_return server_error(body.error());
  if (!to_replicate(tag)) co_return http::text_response(200);
  TagReplicator::Wish wish{tag, *digest, std::move(body->dependencies), body->delay,
                           request.headers.has(api::forwarded_header)};
  auto added = co_await replicator.add(std::move(wish));
  if (!added) co_return server_error(added.error());
  co_return http::text_response(200);
}

Task<Result<DuplicateBody>> BuildIndex::Impl::read_duplicate_body(http::Request& request) {
  auto body = co_await request.body->text(max_duplicate_body);
  if (!body) co_return propagate(body);
  co_return parse_duplicate_body(*body);
}

Task<http::Response> BuildIndex::Impl::origin(http::Request& /*request*/) {
  co_return http::text_response(200, origin_address);
}

}  // namespace krakend::build_index
