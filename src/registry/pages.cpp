#include "registry/pages.h"

#include <charconv>

#include "krakend/core/url.h"
#include "krakend/registry/registry.h"
#include "registry/errors.h"

namespace krakend::registry {

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

http::Response bad_page(const Error& error) {
  return registry_error(400, code::pagination_invalid, error.message);
}

std::string next_link(std::string_view path, std::string_view query, uint64_t count, std::string_view last) {
  return fmt::format("<{}?{}n={}&last={}>; rel=\"next\"", path, query, count, query_escape(last));
}

}  // namespace krakend::registry
