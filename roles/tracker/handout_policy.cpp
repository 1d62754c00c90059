#include "roles/tracker/handout_policy.h"

#include <algorithm>

namespace krakend::tracker {
namespace {

int completeness_class(const PeerInfo& peer) {
  if (peer.origin) return 1;
  return peer.complete ? 0 : 2;
}

}  // namespace

void HandoutPolicy::sort(std::vector<PeerInfo>& peers, io::Random& random) const {
  random.shuffle(peers);
  if (priority_ == Priority::any) return;
  std::stable_sort(peers.begin(), peers.end(), [](const PeerInfo& a, const PeerInfo& b) {
    return completeness_class(a) < completeness_class(b);
  });
}

}  // namespace krakend::tracker
