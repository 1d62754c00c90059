#include "roles/origin/origin.h"

namespace krakend::origin {

uint64_t piece_length_for(const std::map<uint64_t, uint64_t>& piece_lengths, uint64_t size) {
  if (piece_lengths.empty()) return 4 * MiB;
  auto above = piece_lengths.upper_bound(size);
  // Sizes below the smallest threshold use the smallest entry.
  if (above != piece_lengths.begin()) --above;
  return above->second;
}

}  // namespace krakend::origin
