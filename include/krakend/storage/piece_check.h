#pragma once

#include <vector>

#include "krakend/core/bitfield.h"
#include "krakend/core/metainfo.h"
#include "krakend/core/result.h"
#include "krakend/io/disk.h"

namespace krakend::storage {

/// Which of the pieces marked in `have` do not match their sums in the file. Reads all of them: pool work.
Result<std::vector<PieceIndex>> find_bad_pieces(io::File& file, const MetaInfo& info, const Bitfield& have);

}  // namespace krakend::storage
