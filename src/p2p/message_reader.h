#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "krakend/io/net.h"
#include "p2p/message.h"

namespace krakend::p2p {

/// Puts the messages of one stream together as their bytes come. It is no task: thousands of connections wait
/// for their next message, and each coroutine between the wait and the one who handles it costs memory that
/// has to be looked up again. Reads no byte beyond the message, for what follows may be a payload.
class MessageReader {
 public:
  /// nullopt: more bytes have to come. network: the connection ended; protocol: too long or malformed.
  using Taken = std::optional<Result<Message>>;

  /// The next message, if all of it has arrived.
  Taken read_now(io::Stream& stream);
  /// Where the stream's next bytes go; never empty.
  std::span<std::byte> space();
  /// `got` is what a read into space() returned.
  Taken took(Result<size_t> got);

 private:
  Taken take_size();
  Taken take_message();

  std::array<std::byte, 4> prefix_{};
  std::string body_;   ///< its memory stays for the next message, where that is not much
  size_t filled_ = 0;  ///< bytes of prefix and body
};

}  // namespace krakend::p2p
