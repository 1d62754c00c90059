#pragma once

#include <cstdint>
#include <memory>
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

/// Parses request heads and refuses whatever two readers could understand differently (request smuggling).
/// The request line is judged by cpp-httplib's parser, fed from memory. The fields are read here: that parser
/// decodes %XX inside values ("Content-Length: %35" becomes 5), drops lines it does not understand, refuses
/// ranges of other units and forgets the order of arrival. Loop thread.
class HeadParser {
 public:
  HeadParser();
  ~HeadParser();
  /// `head` ends with the empty line.
  tl::expected<ParsedHead, HeadError> parse(std::string_view head);

 private:
  class LineParser;
  std::unique_ptr<LineParser> lines_;
};

}  // namespace krakend::http
