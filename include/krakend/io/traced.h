#pragma once

#include <asio/any_io_executor.hpp>

#include "krakend/core/trace.h"
#include "krakend/io/loop.h"

namespace krakend::io {

/// The loop's executor, with `trace` as the current one whenever a task that runs on it goes on.
asio::any_io_executor traced(const Loop& loop, TracePtr trace);

}  // namespace krakend::io
