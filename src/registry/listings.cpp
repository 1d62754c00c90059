#include "registry/listings.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "krakend/core/url.h"
#include "krakend/registry/tag_names.h"
#include "registry/errors.h"

namespace krakend::registry {

namespace {

struct Page {
  std::span<const std::string> items;
  bool more = false;
};

struct PageRequest {
  std::optional<uint64_t> count;
  std::string last;
};

Result<PageRequest> page_request(const http::Request& request) {
  PageRequest page{std::nullopt, request.query_param("last").value_or("")};
  const auto text = request.query_param("n");
  if (!text || text->empty()) return page;
  uint64_t count = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, count);
  if (error != std::errc{} || stop != end) {
    return fail(Errc::invalid_argument, "n=\"{}\" is not a number of entries", *text);
  }
  page.count = count;
  return page;
}

/// The entries behind `last`, at most `count`. `sorted` is in lexical order.
Page cut(const std::vector<std::string>& sorted, const PageRequest& page) {
  auto begin = sorted.begin();
  if (!page.last.empty()) begin = std::upper_bound(sorted.begin(), sorted.end(), page.last);
  const auto left = static_cast<uint64_t>(sorted.end() - begin);
  const uint64_t count = std::min(page.count.value_or(left), left);
  // Asked for nothing, the client gets nothing, and no link to the same nothing again.
  return {{begin, static_cast<size_t>(count)}, count != 0 && count < left};
}

std::string json_list(std::span<const std::string> items) {
  std::string json = "[";
  for (const std::string& item : items) {
    if (json.size() > 1) json += ',';
    json += json_quote(item);
  }
  return json + ']';
}

/// RFC 8288 link to the next page.
std::string next_link(std::string_view path, const Page& page) {
  return fmt::format("<{}?n={}&last={}>; rel=\"next\"", path, page.items.size(),
                     path_escape(page.items.back()));
}

http::Response listing(std::string json, std::string_view path, const Page& page) {
  http::Response response;
  response.headers.set("Content-Type", "application/json");
  if (page.more) response.headers.set("Link", next_link(path, page));
  response.body = std::move(json);
  return response;
}

http::Response bad_page(const Error& error) {
  return registry_error(400, code::pagination_invalid, error.message);
}

}  // namespace

Task<http::Response> ListingEndpoint::tags(http::Request& request, std::string name) {
  const auto wanted = page_request(request);
  if (!wanted) co_return bad_page(wanted.error());
  auto tags = co_await repositories_.tags(name);
  if (!tags) co_return transfer_error(tags.error(), code::name_unknown, json_detail("name", name));
  const Page page = cut(*tags, *wanted);
  co_return listing(fmt::format("{{\"name\":{},\"tags\":{}}}\n", json_quote(name), json_list(page.items)),
                    fmt::format("/v2/{}/tags/list", name), page);
}

Task<http::Response> ListingEndpoint::catalog(http::Request& request) {
  const auto wanted = page_request(request);
  if (!wanted) co_return bad_page(wanted.error());
  auto names = co_await transfer_.list_all();
  if (!names) co_return transfer_error(names.error(), code::name_unknown);
  const auto repositories = repositories_of(*names);
  const Page page = cut(repositories, *wanted);
  co_return listing(fmt::format("{{\"repositories\":{}}}\n", json_list(page.items)), "/v2/_catalog", page);
}

}  // namespace krakend::registry
