#include "sim/prefetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "krakend/core/counted.h"
#include "sim/checks.h"
#include "sim/faults.h"

namespace krakend::sim {
namespace {

using Way = PrefetchClient::Way;

constexpr const char* tag = "latest";
constexpr uint16_t origin_port = 15002;
/// Longer than the proxy needs for the blobs of one image, one after the other.
constexpr Duration patience = 2min;
/// Within this an origin has what it was told to fetch, when nothing happens to it.
constexpr Duration fetch_limit = 5min;
constexpr Duration look = 500ms;

const char* name_of(Way way) {
  if (way == Way::notification) return "a notification";
  return way == Way::version1 ? "prefetch v1" : "prefetch v2";
}

bool is_origin(const Node& node) {
  return node.name().starts_with("origin");
}

std::string notification_of(const std::string& repo, const std::string& manifest) {
  return fmt::format(
      R"({{"events":[{{"id":"1","action":"push","timestamp":"2026-01-02T03:04:05Z","target":{{"mediaType":)"
      R"("application/vnd.docker.distribution.manifest.v2+json","digest":"{}","repository":"{}"}}}}]}})",
      Digest::of(manifest).str(), repo);
}

std::string blob_path(const Digest& digest) {
  return "/namespace/any/blobs/" + digest.str();
}

}  // namespace

Task<Result<http::ClientResponse>> PrefetchClient::send(std::string method, io::Address host,
                                                        std::string target, std::string body,
                                                        io::ByteSink* sink) {
  http::ClientRequest request;
  request.method = std::move(method);
  request.host = std::move(host);
  request.target = std::move(target);
  request.total_timeout = patience;
  request.idle_timeout = patience;
  request.sink = sink;
  if (!body.empty()) request.body = std::move(body);
  co_return co_await client_->send(std::move(request));
}

Task<int> PrefetchClient::ask(Way way, std::string repo, std::string tag_name, std::string manifest) {
  io::Address at = storm_.proxy();
  std::string target = "/registry/notifications";
  std::string body = notification_of(repo, manifest);
  if (way == Way::notification) {
    at.port = server_port;
  } else {
    target = fmt::format("/proxy/v{}/registry/prefetch", way == Way::version1 ? 1 : 2);
    body = fmt::format(R"({{"tag":"registry.sim/{}:{}","trace_id":"sim"}})", repo, tag_name);
  }
  auto answer = co_await send("POST", at, target, body, nullptr);
  if (!answer) co_return 0;
  const bool says_so = answer->body.find("\"prefetched\":true") != std::string::npos;
  if (way != Way::notification && says_so != (answer->status == 200))
    storm_.fail(fmt::format("{} is answered {}: {}", target, answer->status, answer->body));
  constexpr std::array<int, 5> known{200, 429, 500, 503, 504};
  if (std::find(known.begin(), known.end(), answer->status) == known.end())
    storm_.fail(fmt::format("{} of {} is answered {}: {}", target, repo, answer->status, answer->body));
  co_return answer->status;
}

Task<bool> PrefetchClient::evict(Digest digest) {
  bool gone = true;
  for (auto& node : storm_.cluster().nodes()) {
    if (!is_origin(*node) || !node->running()) continue;
    const io::Address at{node->ip(), origin_port};
    auto answer = co_await send("DELETE", at, "/internal/blobs/" + digest.str(), "", nullptr);
    if (!answer || (answer->status != 202 && answer->status != 404)) gone = false;
  }
  co_return gone;
}

Task<std::string> PrefetchClient::whereabouts(Digest digest) {
  for (auto& node : storm_.cluster().nodes()) {
    if (!is_origin(*node)) continue;
    const io::Address at{node->ip(), origin_port};
    auto answer = co_await send("HEAD", at, "/internal" + blob_path(digest) + "?local=true", "", nullptr);
    if (answer && answer->status == 200) co_return node->name();
  }
  co_return std::string();
}

Task<bool> PrefetchClient::evict_for_sure(Digest digest) {
  const TimePoint limit = storm_.cluster().time().now() + fetch_limit;
  bool gone = co_await evict(digest);
  while (!gone && storm_.cluster().time().now() < limit) {
    co_await storm_.cluster().clock().sleep(look);
    gone = co_await evict(digest);
  }
  co_return gone;
}

Task<std::string> PrefetchClient::await_at_origin(Digest digest) {
  const TimePoint limit = storm_.cluster().time().now() + fetch_limit;
  std::string place = co_await whereabouts(digest);
  while (place.empty() && storm_.cluster().time().now() < limit) {
    co_await storm_.cluster().clock().sleep(look);
    place = co_await whereabouts(digest);
  }
  co_return place;
}

Task<Result<void>> PrefetchClient::read(std::string origin, const SimBlob& blob) {
  BlobCheck check(blob);
  const io::Address at{storm_.node(origin).ip(), origin_port};
  auto answer = co_await send("GET", at, blob_path(blob.digest), "", &check);
  if (!answer) co_return propagate(answer);
  if (answer->status != 200) co_return krakend::fail(Errc::network, "status {}", answer->status);
  if (check.wrong()) co_return krakend::fail(Errc::corrupt, "{}", *check.wrong());
  if (check.position() != blob.content->size())
    co_return krakend::fail(Errc::network, "{} of {} bytes", check.position(), blob.content->size());
  co_return Result<void>{};
}

Task<Result<void>> PrefetchClient::read_text(std::string origin, std::string text) {
  const io::Address at{storm_.node(origin).ip(), origin_port};
  auto answer = co_await send("GET", at, blob_path(Digest::of(text)), "", nullptr);
  if (!answer) co_return propagate(answer);
  if (answer->status != 200 || answer->body != text)
    co_return krakend::fail(Errc::corrupt, "status {}, or other bytes", answer->status);
  co_return Result<void>{};
}

namespace {

Task<> beside(Storm& storm, Storm::Fault fault) {
  const Counted running(storm.background());
  co_await fault(storm);
}

}  // namespace

Task<> lose_blobs(Storm& storm) {
  const Counted running(storm.background());
  co_await check_backends(storm);  // what has one copy only cannot be got anew
  const std::array<Storm::Fault, 6> others{nullptr, crash_origins, break_backends,
                                           part,    fill_disks,    crash_any};
  if (const auto& other = others.at(storm.random().below(others.size())))
    storm.cluster().tasks().spawn(beside(storm, other), "fault");
  PrefetchClient client(storm);
  while (storm.working()) {
    co_await storm.cluster().clock().sleep(storm.between(50ms, 1s));
    const SimBlob& blob = *storm.all().at(storm.random().below(storm.all().size()));
    (void)co_await client.evict(blob.digest);
  }
}

/// Every image again and again in each of the ways, while the work goes on. It may fail, as anything may.
Task<> Storm::prefetch_images() {
  const Counted running(background_);
  PrefetchClient client(*this);
  while (working()) {
    co_await cluster_.clock().sleep(between(0s, 2s));
    const std::string repo = images_.at(random().below(images_.size())).repo;
    const auto way = static_cast<Way>(random().below(PrefetchClient::ways));
    const std::string manifest = ledger_.last(repo);
    const std::string tag_name = tag;
    (void)co_await client.ask(way, repo, tag_name, manifest);
  }
}

/// When nothing happens any more, what no origin has is at the origins after a prefetch, and can be read
/// there while the backend is away.
Task<> Storm::check_prefetched(const Image& image, unsigned way_number) {
  const auto way = static_cast<Way>(way_number);
  const std::string repo = image.repo;
  const std::string tag_name = tag;
  RegistryClient registry(cluster_, client_host_);
  PrefetchClient client(*this);
  auto manifest = co_await registry.get_manifest(proxy(), repo, tag_name);
  if (!manifest) co_return;  // the check of the images tells, where it was acknowledged
  std::vector<Digest> wanted{Digest::of(*manifest)};
  for (const SimBlob* blob : image.layers) wanted.push_back(blob->digest);
  for (const Digest& digest : wanted) {
    const bool gone = co_await client.evict_for_sure(digest);
    if (!gone) fail("an origin does not let go of " + digest.str());
  }
  // Connections may still break where the run has drawn that.
  const unsigned attempts = options_.reset_chance > 0 ? RegistryClient::attempts : 1;
  int status = 0;
  for (unsigned i = 0; i < attempts && status != 200; ++i)
    status = co_await client.ask(way, repo, tag_name, *manifest);
  if (status != 200) {
    fail(fmt::format("{} of {} is answered {}, although nothing happens", name_of(way), repo, status));
    co_return;
  }
  std::vector<std::string> places;
  for (const Digest& digest : wanted) {
    std::string place = co_await client.await_at_origin(digest);
    if (place.empty()) {
      fail(fmt::format("{} was answered 200, but at no origin: {} of {}", name_of(way), digest.str(), repo));
      co_return;
    }
    places.push_back(std::move(place));
  }
  for (auto& node : cluster_.nodes()) node->break_disk(server_path);
  Result<void> read;
  for (unsigned attempt = 0; attempt < attempts; ++attempt) {
    read = co_await client.read_text(places.front(), *manifest);
    for (size_t i = 0; read && i < image.layers.size(); ++i)
      read = co_await client.read(places.at(i + 1), *image.layers[i]);
    if (read || read.error().code == Errc::corrupt) break;
  }
  for (auto& node : cluster_.nodes()) node->repair_disk();
  if (!read) {
    fail(fmt::format("{} was answered 200, but not readable: {}: {}", name_of(way), repo,
                     read.error().message));
  }
}

void Storm::check_prefetches() {
  for (size_t i = 0; i < images_.size(); ++i) {
    const auto way = static_cast<unsigned>((i + options_.seed) % PrefetchClient::ways);
    run_task(check_prefetched(images_[i], way), check_limit, "check of a prefetch");
  }
}

}  // namespace krakend::sim
