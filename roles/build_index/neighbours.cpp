#include "roles/build_index/neighbours.h"

#include <algorithm>
#include <utility>

namespace krakend::build_index {
namespace {

/// A call makes three attempts before it counts.
constexpr unsigned passive_fails = 1;
constexpr Duration passive_time = 30s;

}  // namespace

Neighbours::Neighbours(Services services, NeighboursOptions options, Logger log)
    : services_(services),
      options_(std::move(options)),
      log_(std::move(log)),
      hosts_(services.loop, services.net, services.clock, options_.hosts, log_),
      health_(services.clock, passive_fails, passive_time),
      put_failures_(services.metrics.counter({"duplicate_put_failures_total",
                                              "Tags of which no other build-index could be told",
                                              "duplicate_put_failures"})),
      replicate_failures_(
          services.metrics.counter({"duplicate_replicate_failures_total",
                                    "Tags to be replicated of which no other build-index could be told",
                                    "duplicate_replicate_failures"})) {}

bool Neighbours::is_self(const std::string& host) const {
  return std::find(options_.self.begin(), options_.self.end(), host) != options_.self.end();
}

Task<> Neighbours::tell_put(std::string tag, Digest digest) {
  const Tell tell = [&tag, digest](api::TagClient& client, Duration delay) {
    return client.duplicate_put(tag, digest, delay);
  };
  co_await tell_all(tag, options_.put_stagger, tell, put_failures_);
}

Task<> Neighbours::tell_replicate(std::string tag, Digest digest, std::vector<Digest> dependencies,
                                  bool forwarded) {
  const Tell tell = [&tag, digest, &dependencies, forwarded](api::TagClient& client, Duration delay) {
    return client.duplicate_replicate(tag, digest, dependencies, delay, forwarded);
  };
  co_await tell_all(tag, options_.replicate_stagger, tell, replicate_failures_);
}

Task<> Neighbours::tell_all(std::string tag, Duration stagger, const Tell& tell, const Counter& failures) {
  std::vector<std::string> hosts = hosts_.hosts().list();
  std::erase_if(hosts, [this](const std::string& host) { return is_self(host); });
  services_.random.shuffle(hosts);
  bool told = hosts.empty();
  Duration delay{0};
  for (const std::string& host : hosts) {
    if (!health_.healthy(host)) continue;
    delay += stagger;
    std::vector<std::string> one{host};
    api::TagClient client(services_.client, services_.clock, services_.random, std::move(one));
    auto done = co_await tell(client, delay);
    told = told || done.has_value();
    if (done) continue;
    if (api::is_away(done.error())) health_.failed(host);
    log_.warn("build-index {} is not told of tag {}: {}", host, tag, done.error().message);
  }
  if (!told) failures.add();
}

}  // namespace krakend::build_index
