#include "roles/proxy/prefetch_handler.h"

#include <utility>

#include "krakend/api/requests.h"
#include "krakend/core/url.h"

namespace krakend::proxy {
namespace {

/// A tag and an id.
constexpr uint64_t max_body = 64 * KiB;

/// Counts what comes, and keeps nothing.
class CountingSink final : public io::ByteSink {
 public:
  explicit CountingSink(const Counter& bytes) : bytes_(bytes) {}
  Result<void> write(std::span<const std::byte> data) override {
    bytes_.add(data.size());
    return {};
  }

 private:
  const Counter& bytes_;
};

Error with_status(int status, std::string message) {
  return {Errc::internal, std::move(message), status};
}

/// The proxy has too much to do; everything else is 500, as the reference has it.
int status_of(const Error& error) {
  return error.code == Errc::unavailable && error.http_status == 0 ? 503 : 500;
}

/// As the reference writes a tag that it asks for.
std::string escaped(const std::string& tag) {
  std::string out;
  for (const char c : query_escape(tag)) {
    if (c == ':')
      out += "%3A";
    else
      out += c;
  }
  return out;
}

}  // namespace

void PrefetchHandler::add_routes(http::Router& router) {
  router.add("POST", "/proxy/v1/registry/prefetch", api::bind(this, &PrefetchHandler::download_all))
      .add("POST", "/proxy/v2/registry/prefetch", api::bind(this, &PrefetchHandler::trigger_all));
}

Task<http::Response> PrefetchHandler::download_all(http::Request& request) {
  return serve(request, &PrefetchHandler::begin_downloads);
}

Task<http::Response> PrefetchHandler::trigger_all(http::Request& request) {
  return serve(request, &PrefetchHandler::await_triggers);
}

Task<http::Response> PrefetchHandler::serve(http::Request& request, Version version) {
  parts_.counters.requests.add();
  auto body = co_await read_request(request);
  if (!body) co_return answer({}, propagate(body));
  auto outcome = co_await (this->*version)(*body);
  co_return answer(*body, outcome);
}

Task<Result<PrefetchRequest>> PrefetchHandler::read_request(http::Request& request) const {
  auto body = co_await request.body->text(max_body);
  if (!body) co_return fail(with_status(400, "failed to read request body: " + body.error().message));
  auto parsed = parse_prefetch(*body);
  if (!parsed) co_return fail(with_status(400, "failed to decode request body: " + parsed.error().message));
  co_return std::move(*parsed);
}

http::Response PrefetchHandler::answer(const PrefetchRequest& request, const Outcome& outcome) const {
  if (outcome) {
    parts_.counters.initiated.add();
    return prefetch_success(outcome->name, request.trace_id);
  }
  parts_.counters.failed.add();
  log_.warn("prefetch of {} (trace_id {}): {}", request.tag, request.trace_id, outcome.error().message);
  return prefetch_failure(outcome.error().http_status, outcome.error().message, request.trace_id);
}

Task<Result<PrefetchHandler::Image>> PrefetchHandler::collect(PrefetchRequest request) {
  auto name = parse_image_name(request.tag);
  if (!name) {
    co_return fail(
        with_status(400, fmt::format("tag: {}, invalid tag format: {}", request.tag, name.error().message)));
  }
  auto turn = co_await parts_.reading.take();
  if (!turn) co_return fail(with_status(status_of(turn.error()), turn.error().message));
  auto digest = co_await parts_.reader.find(*name);
  if (!digest) {
    const bool unknown = digest.error().code == Errc::not_found;
    co_return fail(
        with_status(500, fmt::format("tag request: {}, failed to get tag: {}", escaped(name->full()),
                                     unknown ? "tag not found" : digest.error().message)));
  }
  auto blobs = co_await parts_.reader.blobs(name->ns, *digest);
  if (!blobs) co_return fail(with_status(500, "failed to read the image: " + blobs.error().message));
  Image image;
  image.label = fmt::format("prefetch of {} (trace_id {})", name->full(), request.trace_id);
  image.name = std::move(*name);
  image.blobs = of_right_size(*blobs);
  co_return image;
}

std::vector<Digest> PrefetchHandler::of_right_size(const std::vector<ImageReader::Blob>& blobs) const {
  std::vector<Digest> out;
  for (const ImageReader::Blob& blob : blobs) {
    if (blob.size < options_.blob_size_min)
      parts_.counters.too_small.add();
    else if (blob.size > options_.blob_size_max)
      parts_.counters.too_large.add();
    else
      out.push_back(blob.digest);
  }
  return out;
}

Task<PrefetchHandler::Outcome> PrefetchHandler::begin_downloads(PrefetchRequest request) {
  auto image = co_await collect(std::move(request));
  if (!image) co_return propagate(image);
  BlobLine::Call call = [this, ns = image->name.ns](Digest digest) { return download(ns, digest); };
  auto added = parts_.downloads.add(image->label, std::move(image->blobs), std::move(call));
  if (!added) co_return fail(with_status(status_of(added.error()), added.error().message));
  co_return std::move(image->name);
}

Task<PrefetchHandler::Outcome> PrefetchHandler::await_triggers(PrefetchRequest request) {
  auto image = co_await collect(std::move(request));
  if (!image) co_return propagate(image);
  BlobLine::Call call = [this, ns = image->name.ns](Digest digest) { return trigger(ns, digest); };
  auto added = parts_.triggers.add(image->label, std::move(image->blobs), std::move(call));
  if (!added) co_return fail(with_status(status_of(added.error()), added.error().message));
  auto done = co_await parts_.triggers.wait(std::move(*added));
  if (!done) {
    co_return fail(with_status(500,
                               "failed to trigger image prefetch: at least one layer could not be "
                               "prefetched: " +
                                   done.error().message));
  }
  co_return std::move(image->name);
}

Task<Result<void>> PrefetchHandler::download(std::string ns, Digest digest) {
  CountingSink sink(parts_.counters.bytes);
  const TimePoint begin = parts_.clock.now();
  const std::function<Result<io::ByteSink*>()> restart = [&sink]() -> Result<io::ByteSink*> { return &sink; };
  auto done = co_await parts_.origins.download(std::move(ns), digest, restart);
  if (done) {
    parts_.counters.blobs.add();
    parts_.counters.blob_seconds.observe(to_seconds(parts_.clock.now() - begin));
  } else {
    parts_.counters.blob_failures.add();
  }
  co_return done;
}

Task<Result<void>> PrefetchHandler::trigger(std::string ns, Digest digest) {
  auto done = co_await parts_.origins.prefetch(std::move(ns), digest);
  if (!done) parts_.counters.blob_failures.add();
  co_return done;
}

}  // namespace krakend::proxy
