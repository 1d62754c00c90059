#pragma once

#include "krakend/core/time.h"
#include "krakend/io/backoff.h"

namespace krakend::api {

using io::Backoff;

/// How 202 is polled (contract http-api §11.3, p2p §15.4): for at most poll_limit in all.
inline constexpr Backoff poll_backoff{1s, 1.3, 5s};
inline constexpr Duration poll_limit = 15min;

}  // namespace krakend::api
