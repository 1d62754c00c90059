#include "harness.h"

#include "krakend/registry/tag_names.h"

#include <nlohmann/json.hpp>
#include <span>

#include "support/catch.h"

namespace krakend::registry {

namespace {

/// Rounds of the loop after which a test counts as hanging.
constexpr unsigned rounds_max = 1'000'000;

}  // namespace

std::optional<uint64_t> FakeBody::length() const {
  if (chunked_) return std::nullopt;
  return bytes_.size() + (breaks_ ? 1 : 0);
}

Task<Result<uint64_t>> FakeBody::read_to(io::ByteSink& sink, uint64_t limit) {
  if (hold_ != nullptr) co_await hold_->wait();
  if (bytes_.size() > limit) co_return fail(Errc::too_large, "the body exceeds {} bytes", limit);
  if (!bytes_.empty()) {
    if (auto written = sink.write(as_bytes(bytes_)); !written) co_return propagate(written);
  }
  if (breaks_) co_return fail(Errc::network, "the body ended early");
  co_return bytes_.size();
}

Task<Result<uint64_t>> FakeTransfer::stat(std::string repo, Digest digest) {
  ++stats;
  last_repo = std::move(repo);
  if (stat_error) co_return fail(*stat_error);
  co_return co_await store_.size(digest);
}

Task<Result<OpenedBlob>> FakeTransfer::open(std::string repo, Digest digest) {
  ++opens;
  last_repo = std::move(repo);
  if (open_error) co_return fail(*open_error);
  auto blob = co_await store_.open(digest);
  if (!blob) co_return propagate(blob);
  co_return OpenedBlob{*blob, "disk"};
}

Task<Result<Digest>> FakeTransfer::get_tag(std::string repo, std::string tag) {
  if (tag_error) co_return fail(*tag_error);
  const auto found = tags[repo].find(tag);
  if (found == tags[repo].end()) co_return fail(Errc::not_found, "no such tag");
  co_return found->second;
}

Task<Result<std::vector<std::string>>> FakeTransfer::list_names(std::string prefix) {
  if (!prefix.empty() && tag_error) co_return fail(*tag_error);
  std::vector<std::string> names;
  for (const auto& [repo, list] : tags) {
    if (!prefix.empty() && prefix != tag_prefix(repo)) continue;
    for (const auto& [tag, digest] : list) names.push_back(fmt::format("{}:{}", repo, tag));
  }
  co_return names;
}

Task<Result<void>> FakeTransfer::put_blob(std::string repo, Digest digest, storage::UploadPtr upload) {
  ++puts;
  last_repo = std::move(repo);
  if (put_error) {
    co_await upload->discard();
    co_return fail(*put_error);
  }
  auto blob = co_await upload->commit(digest, 4 * MiB);
  if (!blob && blob.error().code != Errc::already_exists) co_return propagate(blob);
  co_return Result<void>{};
}

Task<Result<void>> FakeTransfer::put_tag(std::string repo, std::string tag, Digest digest) {
  if (put_tag_error) co_return fail(*put_tag_error);
  tags[repo][tag] = digest;
  if (after_put_tag) after_put_tag();
  co_return Result<void>{};
}

Task<Result<storage::UploadPtr>> FakeTransfer::create_upload(std::string owner) {
  if (create_error) co_return fail(*create_error);
  co_return co_await store_.create_upload(std::move(owner));
}

Task<Result<void>> FakeTransfer::remove_tag(std::string repo, std::string tag) {
  const auto found = tags.find(repo);
  if (found == tags.end() || found->second.erase(tag) == 0) co_return fail(Errc::not_found, "no such tag");
  if (found->second.empty()) tags.erase(found);
  co_return Result<void>{};
}

Task<Result<void>> FakeTransfer::remove_blob(std::string repo, Digest digest) {
  last_repo = std::move(repo);
  auto removed = co_await store_.remove(digest);
  if (!removed && removed.error().code == Errc::not_found) co_return Result<void>{};
  co_return removed;
}

std::string Answer::code() const {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) return "no JSON: " + body;
  return json.at("errors").at(0).at("code").get<std::string>();
}

std::string Answer::message() const {
  return nlohmann::json::parse(body).at("errors").at(0).at("message").get<std::string>();
}

Harness::Harness(RegistryOptions options) : settings(std::move(options)) {
  open();
}

void Harness::open() {
  const storage::StoreOptions paths{.cache_dir = directory / "cache",
                                    .download_dir = directory / "download",
                                    .upload_dir = directory / "upload",
                                    .keep_owned_uploads = true};
  store = std::make_unique<storage::BlobStore>(loop, *disk, *random, paths, Logger());
  REQUIRE(store->open_directories());
  transfer = std::make_unique<FakeTransfer>(loop, *store);
  handler = std::make_unique<RegistryHandler>(loop, *transfer, settings, Logger());
  handler->adopt_uploads(store->take_kept_uploads(), clock);
}

void Harness::close() {
  poll_until([this] { return tasks.size() == 0; });
  run(handler->stop());
  handler.reset();
  transfer.reset();
  store.reset();
}

void Harness::restart() {
  close();
  open();
}

Harness::~Harness() {
  close();
}

void Harness::poll_until(const std::function<bool()>& done) {
  for (unsigned round = 0; !done(); ++round) {
    if (round == rounds_max) FAIL("nothing happens any more");
    loop.poll();
  }
}

Task<std::string> Harness::body_text(http::Body body) {
  if (auto* text = std::get_if<std::string>(&body)) co_return std::move(*text);
  auto* range = std::get_if<http::ContentRange>(&body);
  if (range == nullptr) co_return std::string();
  for (uint64_t end = range->offset; end < range->offset + range->length;) {
    auto ready = co_await range->content->ready(end);
    if (!ready) co_return "not ready: " + ready.error().message;
    end = *ready;
  }
  std::string text(range->length, '\0');
  auto count = range->content->file()->read_at(range->offset,
                                               std::as_writable_bytes(std::span(text.data(), text.size())));
  if (!count || *count != text.size()) co_return std::string("short read");
  co_return text;
}

Task<> Harness::serve(Call call, std::shared_ptr<std::optional<Answer>> out) {
  FakeBody body(call.body);
  if (call.prepare) call.prepare(body);
  http::Request request;
  request.method = call.method;
  request.target = call.target;
  request.path = call.target.substr(0, call.target.find('?'));
  if (request.path.size() < call.target.size()) request.query = call.target.substr(request.path.size() + 1);
  request.headers = call.headers;
  request.peer = call.peer;
  request.body = &body;
  http::Response response = co_await handler->handle(request);
  Answer answer;
  answer.status = response.status;
  answer.headers = response.headers;
  answer.content_length = response.content_length;
  answer.close = response.close;
  answer.body = co_await body_text(std::move(response.body));
  *out = std::move(answer);
}

std::shared_ptr<std::optional<Answer>> Harness::start(Call call) {
  auto out = std::make_shared<std::optional<Answer>>();
  tasks.spawn(serve(std::move(call), out), "call");
  return out;
}

Answer Harness::call(Call call) {
  auto answer = start(std::move(call));
  poll_until([&] { return answer->has_value(); });
  return **answer;
}

Answer Harness::get(std::string target, http::Headers headers) {
  return send("GET", std::move(target), {}, std::move(headers));
}

Answer Harness::head(std::string target, http::Headers headers) {
  Answer answer = send("HEAD", std::move(target), {}, std::move(headers));
  CHECK(answer.body.empty());
  return answer;
}

Answer Harness::send(std::string method, std::string target, std::string body, http::Headers headers) {
  Call request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.body = std::move(body);
  request.headers = std::move(headers);
  return call(std::move(request));
}

void Harness::sweep(Duration later) {
  clock.advance(later);
  run(handler->sweep_uploads(clock.now()));
}

Task<Result<Digest>> Harness::store_blob(std::string bytes) {
  auto upload = co_await store->create_upload();
  if (!upload) co_return propagate(upload);
  auto sink = (*upload)->writer(0);
  if (auto written = sink->write(as_bytes(bytes)); !written) co_return propagate(written);
  sink.reset();
  auto blob = co_await (*upload)->commit(Digest::of(bytes), 4 * MiB);
  if (!blob && blob.error().code != Errc::already_exists) co_return propagate(blob);
  co_return Digest::of(bytes);
}

Digest Harness::add_blob(const std::string& bytes) {
  auto digest = run(store_blob(bytes));
  REQUIRE(digest);
  return *digest;
}

bool Harness::has_blob(const Digest& digest) {
  return run(store->size(digest)).has_value();
}

std::string Harness::start_upload(const std::string& name) {
  const Answer answer = send("POST", "/v2/" + name + "/blobs/uploads/");
  REQUIRE(answer.status == 202);
  const std::string location = answer.header("Location");
  return location.substr(0, location.find('?'));
}

size_t Harness::uploads_on_disk() {
  const auto names = disk->list(directory / "upload");
  return names ? names->size() : 0;
}

}  // namespace krakend::registry
