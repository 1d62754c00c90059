#include "krakend/core/rendezvous.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "krakend/core/hash.h"
#include "krakend/core/hex.h"

namespace krakend {
namespace {

constexpr uint64_t mask53 = (uint64_t{1} << 53) - 1;

}  // namespace

double rendezvous_score(std::string_view key_hex, const RendezvousNode& node) {
  std::vector<uint8_t> input(key_hex.size() / 2);
  from_hex(key_hex, input);
  input.insert(input.end(), node.label.begin(), node.label.end());
  const uint64_t hash = murmur3_h1(input);
  uint64_t value = hash & mask53;
  if (value == 0) {
    std::array<uint8_t, 8> again;
    for (size_t i = 0; i < 8; ++i) again[i] = static_cast<uint8_t>(hash >> (56 - 8 * i));
    value = murmur3_h1(again) & mask53;
  }
  const double unit = static_cast<double>(value) / static_cast<double>(uint64_t{1} << 53);
  return -static_cast<double>(node.weight) / std::log(unit);
}

std::vector<size_t> rendezvous_order(std::string_view key_hex, std::span<const RendezvousNode> nodes) {
  std::vector<double> scores;
  scores.reserve(nodes.size());
  for (const auto& node : nodes) scores.push_back(rendezvous_score(key_hex, node));
  std::vector<size_t> order(nodes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  return order;
}

}  // namespace krakend
