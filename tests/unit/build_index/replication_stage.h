#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "krakend/api/clients.h"
#include "krakend/api/requests.h"
#include "krakend/storage/database.h"
#include "roles/build_index/build_index.h"
#include "support/catch.h"
#include "support/take.h"
#include "support/world.h"
#include "unit/build_index/fake_origin.h"

namespace krakend::test {

/// A build-index of another cluster, or another one of this cluster: notes every call.
class OtherIndex {
 public:
  explicit OtherIndex(World& world) {
    http::Router router;
    using api::bind;
    router.add("HEAD", "/tags/{tag}", bind(this, &OtherIndex::get))
        .add("GET", "/tags/{tag}", bind(this, &OtherIndex::get))
        .add("PUT", "/tags/{tag}/digest/{digest}", bind(this, &OtherIndex::put))
        .add("GET", "/origin", bind(this, &OtherIndex::origin))
        .add("PUT", "/internal/duplicate/tags/{tag}/digest/{digest}", bind(this, &OtherIndex::duplicate))
        .add("POST", "/internal/duplicate/remotes/tags/{tag}/digest/{digest}",
             bind(this, &OtherIndex::duplicate));
    address = world.serve(std::move(router));
  }
  io::Address address;
  std::map<std::string, std::string> tags;
  /// "<method> <target>[ forwarded][ fill][ <body>]"
  std::vector<std::string> calls;
  bool away = false;
  int put_status = 200;

 private:
  http::Response note(const http::Request& request, http::Response answer, const std::string& body = {}) {
    std::string call = request.method + " " + request.target;
    if (request.headers.has(api::forwarded_header)) call += " forwarded";
    if (request.headers.has("If-None-Match")) call += " fill";
    calls.push_back(body.empty() ? call : call + " " + body);
    return away ? http::text_response(503) : std::move(answer);
  }
  Task<http::Response> get(http::Request& request) {
    const auto found = tags.find(api::param(request, "tag"));
    if (found == tags.end()) co_return note(request, http::text_response(404));
    co_return note(request, http::text_response(200, found->second));
  }
  Task<http::Response> put(http::Request& request) {
    if (!away && put_status == 200) tags[api::param(request, "tag")] = api::digest_param(request)->str();
    co_return note(request, http::text_response(put_status));
  }
  Task<http::Response> origin(http::Request& request) {
    co_return note(request, http::text_response(200, "origin.there:15002"));
  }
  Task<http::Response> duplicate(http::Request& request) {
    auto body = co_await request.body->text(MiB);
    co_return note(request, http::text_response(200), body.value_or(""));
  }
};

/// A build-index with a remote that wants tags of "lib/", over a database that survives its restarts.
struct ReplicationStage {
  World world;
  FakeOrigin origin{world};
  OtherIndex remote{world};
  backend::Backends backends;
  Metrics metrics;
  build_index::BuildIndexOptions options;
  std::unique_ptr<storage::Database> database;
  std::unique_ptr<retry::TaskTable> table;
  std::unique_ptr<build_index::BuildIndex> index;
  io::Address at;
  Digest config = origin.add("config");
  Digest layer = origin.add("layer");
  Digest image;

  ReplicationStage() {
    auto names = backend::make_name_path("docker_tag", world.directory / "tags");
    REQUIRE(names);
    REQUIRE(backends.add(".*", backend::make_file_backend(world.loop, *world.disk, std::move(*names))));
    image = origin.add(manifest("one"));
    options.listen = {"127.0.0.1", 0};
    options.origins = {origin.address.str()};
    options.remotes = {{remote.address.str(), {"^lib/"}}};
    options.replication.backoff = {1ms, 2, 20ms};
  }
  ~ReplicationStage() { stop(); }
  std::string manifest(const std::string& note) const {
    return fmt::format(R"({{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
                       R"("note":"{}","config":{{"digest":"{}"}},"layers":[{{"digest":"{}"}}]}})",
                       note, config.str(), layer.str());
  }
  Result<io::Address> try_start() {
    database =
        take(storage::Database::open(world.loop, *world.disk, world.directory / "build-index.db", Logger()));
    table = take(retry::make_tag_replication_table(*database));
    api::Services services{world.loop,  *world.clock,  *world.random, *world.net,
                           *world.disk, *world.server, *world.client, Logger()};
    services.metrics = metrics = Metrics();
    index = std::make_unique<build_index::BuildIndex>(services, backends, table.get(), options);
    return index->start();
  }
  void start() { at = take(try_start()); }
  void stop() {
    if (!index) return;
    world.run(world.server->stop(1s));
    world.server = http::make_server(world.loop, *world.clock, *world.net, Logger());
    world.run(index->stop());
    index.reset();
    world.run(database->stop());
    database.reset();
  }
  http::ClientResponse put(const std::string& tag, const Digest& digest, http::Headers headers = {}) {
    return world.call("PUT", at, "/tags/" + tag + "/digest/" + digest.str() + "?replicate=true", {},
                      std::move(headers));
  }
  /// What comes in the background.
  template <class Done>
  bool comes(Done done) {
    for (int round = 0; round < 5000 && !done(); ++round) world.run(world.clock->sleep(1ms));
    return done();
  }
  std::vector<retry::RetryTask> rows() { return take(table->read()); }
  bool done() {
    return comes([this] { return rows().empty(); });
  }
  bool told(const std::string& line) { return metrics.text().find(line + "\n") != std::string::npos; }
};

}  // namespace krakend::test
