#include "krakend/io/content.h"

#include "krakend/core/hex.h"
#include "krakend/core/units.h"

namespace krakend::io {

Result<void> TextSink::write(std::span<const std::byte> data) {
  if (data.size() > limit_ - text.size())
    return fail(Errc::too_large, "the text is larger than {}", format_size(limit_));
  text.append(as_text(data));
  return {};
}

Task<Result<void>> await_ready(Content& content, uint64_t begin, uint64_t end) {
  while (begin < end) {
    auto ready = co_await content.ready(begin);
    if (!ready) co_return propagate(ready);
    if (*ready <= begin) co_return fail(Errc::io, "the content ends at byte {} of {}", *ready, end);
    begin = *ready;
  }
  co_return Result<void>{};
}

}  // namespace krakend::io
