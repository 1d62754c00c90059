#pragma once

#include <vector>

#include "krakend/core/peer.h"
#include "krakend/io/random.h"

namespace krakend::tracker {

/// In which order an announcer gets its peers (contract http-api §5.2, step 6). Pure.
class HandoutPolicy {
 public:
  enum class Priority {
    any,           ///< "default": no order
    completeness,  ///< complete agents, then origins, then incomplete agents
  };
  explicit HandoutPolicy(Priority priority) : priority_(priority) {}

  /// Random order within a class, so that no peer is everyone's first choice.
  void sort(std::vector<PeerInfo>& peers, io::Random& random) const;

 private:
  Priority priority_;
};

}  // namespace krakend::tracker
