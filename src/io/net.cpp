#include "krakend/io/net.h"

#include <utility>

namespace krakend::io {

Task<> Stream::read_into(Reader& reader) {
  while (true) {
    auto got = co_await read_some(reader.space());
    if (!reader.took(std::move(got))) co_return;
  }
}

}  // namespace krakend::io
