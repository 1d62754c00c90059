#pragma once

#include <map>
#include <string>

#include "krakend/core/time.h"

namespace krakend::p2p {

/// Lets one remark a minute through for each host, so that a hostile one cannot fill the log. Pure: time is
/// an argument.
class Seldom {
 public:
  static constexpr Duration pause = 1min;
  /// Hosts remembered; with more in a minute the rest is not remarked on.
  static constexpr size_t max_hosts = 1024;

  bool allows(const std::string& host, TimePoint now) {
    if (const auto found = last_.find(host); found != last_.end() && now - found->second < pause)
      return false;
    if (last_.size() >= max_hosts)
      std::erase_if(last_, [now](const auto& item) { return now - item.second >= pause; });
    if (last_.size() >= max_hosts) return false;
    last_[host] = now;
    return true;
  }

 private:
  std::map<std::string, TimePoint> last_;
};

}  // namespace krakend::p2p
