#pragma once

#include <memory>

#include "io/socket.h"
#include "krakend/io/clock.h"
#include "krakend/io/loop.h"
#include "krakend/io/net.h"

namespace krakend::io {

/// Takes a bound and listening socket.
Result<std::unique_ptr<Listener>> make_tcp_listener(Loop& loop, Clock& clock, Descriptor fd);

}  // namespace krakend::io
