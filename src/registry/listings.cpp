#include "registry/listings.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include "krakend/registry/tag_names.h"
#include "registry/errors.h"
#include "registry/pages.h"

namespace krakend::registry {

namespace {

struct Page {
  std::span<const std::string> items;
  bool more = false;
};

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

http::Response listing(std::string json, std::string_view path, const Page& page) {
  http::Response response;
  response.headers.set("Content-Type", "application/json");
  if (page.more) response.headers.set("Link", next_link(path, "", page.items.size(), page.items.back()));
  response.body = std::move(json);
  return response;
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
  auto names = co_await transfer_.list_names("");
  if (!names) co_return transfer_error(names.error(), code::name_unknown);
  const auto repositories = repositories_of(*names);
  const Page page = cut(repositories, *wanted);
  co_return listing(fmt::format("{{\"repositories\":{}}}\n", json_list(page.items)), "/v2/_catalog", page);
}

}  // namespace krakend::registry
