#include "http/linger.h"

namespace krakend::http {

Task<> linger(io::Clock& clock, io::StreamPtr stream) {
  const auto timer = clock.after(linger_time, [stream] { stream->shutdown(); });
  io::NullSink sink;
  uint64_t left = linger_bytes;
  while (left > 0) {
    auto got = co_await stream->receive(sink, left);
    if (!got || *got == 0) co_return;
    left -= *got;
  }
}

}  // namespace krakend::http
