#include "daemon/print_config.h"

#include <fmt/format.h>

namespace krakend::daemon {
namespace {

void print_unused(const Component& component, int indent, std::string& out) {
  for (const UnusedKey& key : component.table.unused()) {
    out += fmt::format("{:{}}# accepted, not used: {} ({})\n", "", indent, key.path, key.where);
  }
}

}  // namespace

std::string print_config(const Options& options, const Config& config, const Plan& plan) {
  std::string out = fmt::format("# {}: effective configuration\n", version_text());
  for (const EffectiveFlag& flag : plan.flags) {
    out += fmt::format("{:<56}  # {}\n", fmt::format("# --{}={}", flag.name, flag.value),
                       flag.given ? "flag" : "default");
  }
  for (const Component* component : config.components()) {
    const int indent = options.single() ? 0 : 2;
    if (!options.single()) out += fmt::format("{}:\n", to_string(component->role));
    out += component->table.print(indent);
    print_unused(*component, indent, out);
  }
  return out;
}

}  // namespace krakend::daemon
