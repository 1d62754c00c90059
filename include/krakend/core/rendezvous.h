#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace krakend {

struct RendezvousNode {
  std::string label;
  int weight = 100;
};

/// Weighted rendezvous score of one node for a key given as hex (contract core-formats §9); higher is better.
double rendezvous_score(std::string_view key_hex, const RendezvousNode& node);

/// Indexes into `nodes`, best first; equal scores keep the order of `nodes`.
std::vector<size_t> rendezvous_order(std::string_view key_hex, std::span<const RendezvousNode> nodes);

}  // namespace krakend
