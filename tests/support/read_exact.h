#pragma once

#include <span>

#include "krakend/io/net.h"

namespace krakend::test {

/// Reads until `out` is full; an early end is an error of code network.
inline Task<Result<void>> read_exact(io::Stream& stream, std::span<std::byte> out) {
  while (!out.empty()) {
    // What has arrived already is taken as a reader of messages takes it.
    auto got = stream.read_now(out);
    if (!got) got = co_await stream.read_some(out);
    if (!*got) co_return propagate(*got);
    if (**got == 0) co_return fail(Errc::network, "{} closed the connection", stream.peer().str());
    out = out.subspan(**got);
  }
  co_return Result<void>{};
}

}  // namespace krakend::test
