#include "roles/gc/gc.h"

#include <fmt/format.h>

#include "sim/storm.h"

namespace krakend::sim {
namespace {

/// Short, so that pushes and the collector get in each other's way.
constexpr Duration min_age = 30s;

Task<Result<gc::CollectorReport>> collect(Storm& storm) {
  auto client = storm.cluster().make_client(storm.client_host());
  gc::CollectorOptions options;
  for (auto& node : storm.cluster().nodes()) {
    if (!node->name().starts_with("origin") && !node->name().starts_with("herd")) continue;
    options.origins.push_back(node->ip() + ":15002");
  }
  options.build_indexes = {storm.index().str()};
  options.min_age = min_age;
  options.remove = true;
  gc::Collector collector(
      {storm.cluster().time().loop(), *client, storm.cluster().clock(), storm.random(),
       storm.cluster().tasks()},
      options, [](const std::string&) {}, Logger());
  auto report = co_await collector.run();
  co_await collector.stop();
  co_return report;
}

}  // namespace

/// While the work goes on. It may fail, as anything may.
Task<> Storm::collect_garbage() {
  collecting_ = true;
  while (working()) {
    co_await cluster_.clock().sleep(between(5s, 30s));
    (void)co_await collect(*this);
  }
  collecting_ = false;
}

/// What no tag leads to is gone after one more collection, and everything else is still there.
void Storm::check_garbage() {
  if (!cluster_.run_until([this] { return !collecting_; }, check_limit)) fail("the collection does not end");
  cluster_.run_for(2 * min_age + 1min);
  const auto last = [this]() -> Task<> {
    auto report = co_await collect(*this);
    if (!report) {
      fail("the collector fails: " + report.error().message);
      co_return;
    }
    RegistryClient client(cluster_, client_host_);
    for (const Image& image : images_) {
      const std::string repo = image.repo;
      for (const SimBlob* blob : image.layers) {
        bool used = false;
        for (const Image& other : images_) {
          const bool has = std::find(other.layers.begin(), other.layers.end(), blob) != other.layers.end();
          used = used || (has && !ledger_.unused(other.repo));
        }
        if (used) continue;
        auto there = co_await client.has(proxy(), repo, *blob);
        if (there && *there) fail("garbage that stays: " + blob->digest.str());
      }
    }
  };
  run_task(last(), check_limit, "collection");
  check_images();
}

}  // namespace krakend::sim
