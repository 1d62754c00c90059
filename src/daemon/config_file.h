#pragma once

#include <yaml-cpp/yaml.h>

#include <string>
#include <vector>

#include "krakend/core/result.h"
#include "krakend/core/units.h"
#include "krakend/io/disk.h"

namespace krakend::daemon {

/// Bytes of one YAML file.
inline constexpr uint64_t max_config_file = 1 * MiB;
/// Files of one `extends` chain.
inline constexpr size_t max_config_chain = 32;

struct ConfigDocument {
  std::string path;
  YAML::Node root;
};

/// The file and the files it extends, root first: the order in which they are applied (contract config-ops
/// §1.1). Blocks: start-up only.
Result<std::vector<ConfigDocument>> load_config_chain(io::Disk& disk, const std::string& path);

/// `name` as seen from the directory of the file `from`.
std::string resolve_beside(const std::string& from, const std::string& name);

}  // namespace krakend::daemon
