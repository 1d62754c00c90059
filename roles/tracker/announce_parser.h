#pragma once

#include <string>
#include <string_view>

#include "krakend/core/peer.h"

namespace krakend::tracker {

/// Body of an announce. The error carries the status of contract http-api §5.2: 500 for malformed input, as
/// the reference answers, but 400 when only `peer` is missing (the reference crashes) or its address is
/// unusable.
Result<AnnounceRequest> parse_announce(std::string_view body);

}  // namespace krakend::tracker
