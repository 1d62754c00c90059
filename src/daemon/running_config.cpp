#include "daemon/running_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace krakend::daemon {
namespace {

nlohmann::json list_of(const std::vector<RunningConfig::Key>& keys) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [role, path] : keys) list.push_back({{"role", to_string(role)}, {"key", path}});
  return list;
}

}  // namespace

RunningConfig::RunningConfig(const Config& config) {
  for (const Component* component : config.components()) {
    for (const ConfigKey& key : component->table.keys()) {
      if (key.use == KeyUse::bound) values_[{component->role, key.path}] = key.value->text();
    }
  }
}

RunningConfig::Changes RunningConfig::adopt(const Config& wanted) {
  Changes changes;
  for (const Component* component : wanted.components()) {
    std::map<std::string, std::string> differ;
    for (const ConfigKey& key : component->table.keys()) {
      if (key.use != KeyUse::bound) continue;
      std::string text = key.value->text();
      if (values_[{component->role, key.path}] != text) differ[key.path] = std::move(text);
    }
    for (const ConfigKey& key : component->table.keys()) {
      const auto changed = differ.find(key.path);
      if (changed == differ.end()) continue;
      const Key name{component->role, key.path};
      if (!key.live) {
        changes.needs_restart.push_back(name);
      } else {
        changes.live.push_back(name);
        values_[name] = changed->second;
      }
    }
  }
  return changes;
}

bool RunningConfig::Changes::touches(Role role) const {
  return std::any_of(live.begin(), live.end(), [role](const Key& key) { return key.first == role; });
}

std::string RunningConfig::Changes::text(const std::vector<Key>& keys) {
  std::string all;
  for (const auto& [role, path] : keys)
    all += fmt::format("{}{} {}", all.empty() ? "" : ", ", to_string(role), path);
  return all.empty() ? "nothing" : all;
}

std::string RunningConfig::Changes::json() const {
  return nlohmann::json{{"changed", list_of(live)}, {"needs_restart", list_of(needs_restart)}}.dump(2) + "\n";
}

}  // namespace krakend::daemon
