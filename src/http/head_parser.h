#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "krakend/http/message.h"

namespace krakend::http {

/// A request head, understood.
struct ParsedHead {
  Request request;  ///< without body and addresses
  bool keep_alive = true;
  bool expects_continue = false;
  bool chunked = false;
  uint64_t content_length = 0;
};

/// Why a head was refused; becomes the response.
struct HeadError {
  int status = 400;
  std::string text;
};

/// Parses request heads with cpp-httplib's own parser, fed from memory, and refuses what it lets pass
/// although two readers could understand it differently (request smuggling). Loop thread.
class HeadParser {
 public:
  HeadParser();
  ~HeadParser();
  /// `head` ends with the empty line.
  tl::expected<ParsedHead, HeadError> parse(std::string_view head);

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace krakend::http
