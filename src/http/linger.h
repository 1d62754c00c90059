#pragma once

#include "krakend/core/units.h"
#include "krakend/io/clock.h"
#include "krakend/io/net.h"

namespace krakend::http {

/// How long and how far a client is listened to after the last answer.
inline constexpr Duration linger_time = 2s;
inline constexpr uint64_t linger_bytes = 16 * MiB;

/// Reads away what the client still sends, until it closes or a limit is reached. A socket that is closed
/// with unread bytes sends a reset, which destroys the answer on its way. Ends at once when the stream is
/// shut down.
Task<> linger(io::Clock& clock, io::StreamPtr stream);

}  // namespace krakend::http
