#include "krakend/storage/piece_check.h"

#include <algorithm>

#include "krakend/core/hash.h"
#include "krakend/core/units.h"

namespace krakend::storage {

Result<std::vector<PieceIndex>> find_bad_pieces(io::File& file, const MetaInfo& info, const Bitfield& have) {
  std::vector<std::byte> buffer(256 * KiB);
  std::vector<PieceIndex> bad;
  for (PieceIndex index = 0; index < info.piece_count(); ++index) {
    if (!have.test(index)) continue;
    uint32_t sum = 0;
    const uint64_t end = info.piece_offset(index) + info.piece_size(index);
    for (uint64_t at = info.piece_offset(index); at < end;) {
      const auto part = std::span(buffer).first(std::min<uint64_t>(buffer.size(), end - at));
      auto got = file.read_at(at, part);
      if (!got) return propagate(got);
      if (*got == 0) break;  // the file is shorter: the sum will not match
      sum = crc32(sum, part.first(*got));
      at += *got;
    }
    if (sum != info.piece_sum(index)) bad.push_back(index);
  }
  return bad;
}

}  // namespace krakend::storage
