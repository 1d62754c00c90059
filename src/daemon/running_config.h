#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "daemon/config.h"

namespace krakend::daemon {

/// The values that the process runs with, by role and key: what a reload compares with. Loop thread.
class RunningConfig {
 public:
  explicit RunningConfig(const Config& config);

  using Key = std::pair<Role, std::string>;
  struct Changes {
    std::vector<Key> live;           ///< changed now
    std::vector<Key> needs_restart;  ///< stays as it is until then
    bool touches(Role role) const;
    bool empty() const { return live.empty() && needs_restart.empty(); }
    /// "origin scheduler.conn_tti, ..."
    static std::string text(const std::vector<Key>& keys);
    std::string json() const;
  };
  /// What going over to `wanted` means; the live ones count as running from now on.
  Changes adopt(const Config& wanted);

 private:
  std::map<Key, std::string> values_;
};

}  // namespace krakend::daemon
