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
  Impl(http::Client& c, io::Clock& clock, io::Random& r, cluster::Hosts list)
      : client(c), random(r), hosts(std::move(list)), health(clock, passive_fails, passive_time) {}

  /// The first host that answers at all is final (contract http-api §6.11).
  Task<Result<http::ClientResponse>> ask(std::string method, std::string target, Duration limit,
                                         int accepted = 200) {
    std::vector<std::string> order = health.filter(hosts.list());
    random.shuffle(order);
    Result<http::ClientResponse> last = fail(Errc::network, "no build-index is configured");
    for (const std::string& host : order) {
      last = co_await call(client, method, host, target, limit, accepted);
      if (last || !no_answer(last.error())) break;
      health.failed(host);
    }
    co_return last;
  }

  http::Client& client;
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
  std::string target =
      "/tags/" + path_escape(tag) + "/digest/" + digest.str() + (replicate ? "?replicate=true" : "");
  auto response = co_await impl_->ask("PUT", std::move(target), limits::tag_put);
  if (!response) co_return propagate(response);
  co_return Result<void>{};
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
