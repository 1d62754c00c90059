#pragma once

#include <string_view>

namespace krakend {

/// krakend keeps notes of its own at the build-index as tags below this prefix: "_krakend/<kind>:<key>". No
/// repository name begins with '_', so no client reaches them and none of a client's names clashes.
inline constexpr std::string_view internal_tag_prefix = "_krakend/";

inline bool is_internal_tag(std::string_view tag) {
  return tag.starts_with(internal_tag_prefix);
}

}  // namespace krakend
