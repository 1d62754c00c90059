#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace krakend::registry {

/// Prefix under which the build-index lists the tags of a repository (contract http-api §9.6): its leading
/// slash makes the double slash of "/list//<repo>/_manifests/tags" on the wire.
std::string tag_prefix(std::string_view repo);

/// The tags of `repo` among the build-index's names "repo:tag", in lexical order. Other names are skipped.
std::vector<std::string> tags_of(std::string_view repo, const std::vector<std::string>& names);

/// Repository and tag of such names, where both are valid: krakend's own are not.
std::vector<std::pair<std::string, std::string>> split_tags(const std::vector<std::string>& names);

/// The distinct repositories of such names, in lexical order.
std::vector<std::string> repositories_of(const std::vector<std::string>& names);

}  // namespace krakend::registry
