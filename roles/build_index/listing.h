#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "krakend/core/result.h"

namespace krakend::build_index {

/// `limit` and `offset` of a list request (contract http-api §6.6).
struct Paging {
  std::optional<int64_t> limit;
  /// Names after this one; empty: from the start.
  std::string offset;
  /// Either parameter was given.
  bool paged = false;
};

/// Error invalid_argument (status 400): another parameter, a repeated one, a limit that is no positive
/// integer.
Result<Paging> parse_paging(const std::string& query);

/// One page of names, and the token of the next one; empty on the last page. The token is the last name of
/// this page, so what is added or removed meanwhile does not shift the pages. `names` are sorted.
struct Page {
  std::vector<std::string> names;
  std::string next;
};
Page take_page(const std::vector<std::string>& names, const Paging& paging);

/// Only the part behind ':' of names that have exactly one.
std::vector<std::string> tags_of(const std::vector<std::string>& names);

/// ListResponse with its final newline (contract http-api §2.5). `target` is the request's path and query as
/// received, `path` its path.
std::string list_response_json(const std::string& target, const std::string& path, const Paging& paging,
                               const std::vector<std::string>& names, const std::string& next);

}  // namespace krakend::build_index
