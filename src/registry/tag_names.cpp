#include "krakend/registry/tag_names.h"

#include <algorithm>

#include "krakend/core/units.h"

namespace krakend::registry {

namespace {

void sort_unique(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

}  // namespace

std::string tag_prefix(std::string_view repo) {
  return fmt::format("/{}/_manifests/tags", repo);
}

std::vector<std::string> tags_of(std::string_view repo, const std::vector<std::string>& names) {
  std::vector<std::string> tags;
  for (const std::string_view name : names) {
    const size_t colon = name.rfind(':');
    if (colon == std::string_view::npos || name.substr(0, colon) != repo) continue;
    const std::string_view tag = name.substr(colon + 1);
    if (valid_tag(tag)) tags.emplace_back(tag);
  }
  sort_unique(tags);
  return tags;
}

std::vector<std::string> repositories_of(const std::vector<std::string>& names) {
  std::vector<std::string> repositories;
  for (const std::string_view name : names) {
    const size_t colon = name.rfind(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view repo = name.substr(0, colon);
    if (valid_repository(repo)) repositories.emplace_back(repo);
  }
  sort_unique(repositories);
  return repositories;
}

}  // namespace krakend::registry
