#pragma once

#include <string>

#include "io/socket.h"

namespace krakend::io {

/// A listening socket at `path`, which must be free: a socket file that nobody listens on is removed first,
/// any other file is left alone.
Result<Descriptor> listen_unix(const std::string& path, int backlog);

}  // namespace krakend::io
