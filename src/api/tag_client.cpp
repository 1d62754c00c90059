#include <nlohmann/json.hpp>
#include <utility>

#include "api/call.h"
#include "krakend/api/clients.h"
#include "krakend/core/url.h"

namespace krakend::api {
namespace {

/// Contract core-formats §12.2.
constexpr unsigned passive_fails = 3;
constexpr Duration passive_time = 5min;
/// Names that list() collects before it gives up: some 100 MB.
constexpr size_t max_names = 1'000'000;
/// The "standard retry" of contract http-api §1.2.
constexpr unsigned duplicate_retries = 2;
constexpr Duration duplicate_pause = 250ms;

std::string digest_path(const std::string& tag, const Digest& digest) {
  return "/tags/" + path_escape(tag) + "/digest/" + digest.str();
}

/// The value of `offset` in the "next" link of a list; empty on the last page.
std::string next_offset(std::string_view link) {
  const size_t question = link.find('?');
  if (question == std::string_view::npos) return {};
  http::Request request;
  request.query = std::string(link.substr(question + 1));
  return request.query_param("offset").value_or("");
}

/// Appends the names of one page; the value is the token of the next one (contract http-api §2.5).
Result<std::string> parse_page(const std::string& body, std::vector<std::string>& names) {
  const auto page = nlohmann::json::parse(body, nullptr, false);
  if (!page.is_object()) return fail(Errc::protocol, "the list is not a JSON object");
  const auto result = page.find("result");
  if (result != page.end() && result->is_array()) {
    for (const auto& name : *result) {
      if (!name.is_string()) return fail(Errc::protocol, "the list holds something that is no string");
      names.push_back(name.get<std::string>());
    }
  }
  const auto links = page.find("Links");
  if (links == page.end() || !links->is_object()) return std::string();
  return next_offset(links->value("next", ""));
}

}  // namespace

struct TagClient::Impl {
  Impl(http::Client& c, io::Clock& time, io::Random& r, cluster::Hosts list)
      : client(c),
        clock(time),
        random(r),
        hosts(std::move(list)),
        health(time, passive_fails, passive_time) {}

  Task<Result<http::ClientResponse>> ask(std::string method, std::string target, Duration limit,
                                         int accepted = 200) {
    http::ClientRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.total_timeout = limit;
    return ask(std::move(request), accepted);
  }

  /// The first host that answers at all is final (contract http-api §6.11). The request lacks its host.
  Task<Result<http::ClientResponse>> ask(http::ClientRequest request, int accepted = 200) {
    std::vector<std::string> order = health.filter(hosts.list());
    random.shuffle(order);
    Result<http::ClientResponse> last = fail(Errc::network, "no build-index is configured");
    for (const std::string& host : order) {
      auto address = io::Address::parse(host);
      if (!address) co_return propagate(address);
      request.host = std::move(*address);
      last = co_await call(client, request, accepted);
      if (last || !no_answer(last.error())) break;
      health.failed(host);
    }
    co_return last;
  }

  /// Once more, twice at most, when the host is away.
  Task<Result<void>> ask_patiently(http::ClientRequest request) {
    for (unsigned retry = 0;; ++retry) {
      auto response = co_await ask(request);
      if (response) co_return Result<void>{};
      if (!is_away(response.error()) || retry == duplicate_retries) co_return propagate(response);
      co_await clock.sleep(duplicate_pause);
    }
  }

  http::Client& client;
  io::Clock& clock;
  io::Random& random;
  const cluster::Hosts hosts;
  cluster::PassiveHealth health;
};

TagClient::TagClient(http::Client& client, io::Clock& clock, io::Random& random, cluster::Hosts hosts)
    : impl_(std::make_unique<Impl>(client, clock, random, std::move(hosts))) {}
TagClient::~TagClient() = default;

Task<Result<Digest>> TagClient::get(std::string tag) {
  auto response = co_await impl_->ask("GET", "/tags/" + path_escape(tag), limits::tag_get);
  if (!response) co_return propagate(response);
  auto digest = Digest::parse(response->body);
  if (!digest)
    co_return fail(Errc::protocol, "tag {}: the build-index answered: {}", tag, digest.error().message);
  co_return digest;
}

Task<Result<void>> TagClient::put(std::string tag, Digest digest, bool replicate) {
  std::string target = digest_path(tag, digest) + (replicate ? "?replicate=true" : "");
  auto response = co_await impl_->ask("PUT", std::move(target), limits::tag_put);
  if (!response) co_return propagate(response);
  co_return Result<void>{};
}

Task<Result<void>> TagClient::put_forwarded(std::string tag, Digest digest, bool fill) {
  http::ClientRequest request;
  request.method = "PUT";
  request.target = digest_path(tag, digest) + "?replicate=true";
  request.total_timeout = limits::tag_put;
  request.headers.set(forwarded_header, "1");
  if (fill) request.headers.set("If-None-Match", "*");
  auto response = co_await impl_->ask(std::move(request));
  constexpr int precondition_failed = 412;
  if (!response && response.error().http_status == precondition_failed)
    co_return fail(Errc::already_exists, "{}", response.error().message);
  if (!response) co_return propagate(response);
  co_return Result<void>{};
}

Task<Result<bool>> TagClient::has(std::string tag) {
  auto response = co_await impl_->ask("HEAD", "/tags/" + path_escape(tag), limits::tag_get);
  if (response) co_return true;
  if (response.error().code == Errc::not_found) co_return false;
  co_return propagate(response);
}

Task<Result<std::string>> TagClient::origin() {
  auto response = co_await impl_->ask("GET", "/origin", limits::origin_address);
  if (!response) co_return propagate(response);
  auto address = io::Address::parse(response->body);
  if (!address)
    co_return fail(Errc::protocol, "GET /origin: the build-index answered: {}", address.error().message);
  co_return response->body;
}

Task<Result<void>> TagClient::duplicate_put(std::string tag, Digest digest, Duration delay) {
  http::ClientRequest request;
  request.method = "PUT";
  request.target = "/internal/duplicate" + digest_path(tag, digest);
  request.total_timeout = limits::tag_duplicate;
  request.body = nlohmann::json{{"delay", delay.count()}}.dump();
  co_return co_await impl_->ask_patiently(std::move(request));
}

Task<Result<void>> TagClient::duplicate_replicate(std::string tag, Digest digest,
                                                  std::vector<Digest> dependencies, Duration delay,
                                                  bool forwarded) {
  http::ClientRequest request;
  request.method = "POST";
  request.target = "/internal/duplicate/remotes" + digest_path(tag, digest);
  request.total_timeout = limits::tag_duplicate;
  if (forwarded) request.headers.set(forwarded_header, "1");
  nlohmann::json names = nlohmann::json::array();
  for (const Digest& dependency : dependencies) names.push_back(dependency.str());
  request.body = nlohmann::json{{"dependencies", std::move(names)}, {"delay", delay.count()}}.dump();
  co_return co_await impl_->ask_patiently(std::move(request));
}

Task<Result<void>> TagClient::remove(std::string tag) {
  auto response = co_await impl_->ask("DELETE", "/tags/" + path_escape(tag), limits::tag_put, 202);
  if (!response) co_return propagate(response);
  co_return Result<void>{};
}

Task<Result<std::vector<std::string>>> TagClient::list(std::string prefix) {
  const std::string path = "/list/" + default_path_encoding(prefix);
  std::vector<std::string> names;
  std::string target = path;
  for (;;) {
    auto response = co_await impl_->ask("GET", target, limits::tag_list);
    if (!response) co_return propagate(response);
    const size_t before = names.size();
    auto next = parse_page(response->body, names);
    if (!next) co_return fail(Errc::protocol, "GET {}: {}", target, next.error().message);
    if (next->empty()) co_return names;
    if (names.size() == before)
      co_return fail(Errc::protocol, "GET {}: an empty page says that there are more", target);
    if (names.size() > max_names)
      co_return fail(Errc::too_large, "list of {}: more than {} names", prefix, max_names);
    target = path + "?offset=" + query_escape(*next);
  }
}

}  // namespace krakend::api
