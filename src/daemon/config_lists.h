#pragma once

#include <string>
#include <utility>
#include <vector>

#include "daemon/config_value.h"
#include "krakend/core/log.h"
#include "krakend/io/address_range.h"
#include "krakend/storage/blob_store.h"
#include "roles/build_index/build_index.h"

namespace krakend::daemon {

/// One entry of `backends` (contract backends-replication §2.1). This version has the file backend.
struct BackendConfig {
  std::string ns = ".*";  ///< RE2, unanchored
  std::string root;
  std::string name_path;
  bool must_ready = false;
  bool operator==(const BackendConfig&) const = default;
};

using TagTypes = std::vector<std::pair<std::string, build_index::TagType>>;

/// `default_name_path` holds where an entry names none.
ConfigValuePtr make_backends_value(std::vector<BackendConfig>& target, std::string default_name_path);
ConfigValuePtr make_volumes_value(std::vector<storage::Volume>& target);
ConfigValuePtr make_tag_types_value(TagTypes& target);
/// A map of addresses to lists of patterns. Files merge address by address.
ConfigValuePtr make_remotes_value(build_index::Remotes& target);
/// A list of {path: FILE}.
ConfigValuePtr make_paths_value(std::vector<std::string>& target);
/// Fields of log lines: a map of names to any values.
ConfigValuePtr make_fields_value(std::vector<LogField>& target);
ConfigValuePtr make_address_ranges_value(std::vector<io::AddressRange>& target);

}  // namespace krakend::daemon
