#include "krakend/registry/tag_names.h"

#include <algorithm>

#include "krakend/core/units.h"

namespace krakend::registry {

namespace {

void sort_unique(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

/// At the last colon; both empty when there is none.
std::pair<std::string_view, std::string_view> split(std::string_view name) {
  const size_t colon = name.rfind(':');
  if (colon == std::string_view::npos) return {};
  return {name.substr(0, colon), name.substr(colon + 1)};
}

}  // namespace

std::string tag_prefix(std::string_view repo) {
  return fmt::format("/{}/_manifests/tags", repo);
}

std::vector<std::string> tags_of(std::string_view repo, const std::vector<std::string>& names) {
  std::vector<std::string> tags;
  for (const std::string_view name : names) {
    const auto [its_repo, tag] = split(name);
    if (its_repo == repo && valid_tag(tag)) tags.emplace_back(tag);
  }
  sort_unique(tags);
  return tags;
}

std::vector<std::pair<std::string, std::string>> split_tags(const std::vector<std::string>& names) {
  std::vector<std::pair<std::string, std::string>> tags;
  for (const std::string_view name : names) {
    const auto [repo, tag] = split(name);
    if (valid_repository(repo) && valid_tag(tag)) tags.emplace_back(repo, tag);
  }
  return tags;
}

std::vector<std::string> repositories_of(const std::vector<std::string>& names) {
  std::vector<std::string> repositories;
  for (const std::string_view name : names) {
    const auto [repo, tag] = split(name);
    if (valid_repository(repo)) repositories.emplace_back(repo);
  }
  sort_unique(repositories);
  return repositories;
}

}  // namespace krakend::registry
