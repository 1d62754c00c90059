#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

#include "krakend/io/net.h"
#include "p2p/message.h"

namespace krakend::p2p {

/// Puts the messages of one stream together as their bytes come. Reads no byte beyond the message, for what
/// follows may be a payload.
class MessageReader : public io::Reader {
 public:
  std::span<std::byte> space() final;
  bool took(Result<size_t> got) final;

 protected:
  /// The next message. network: the connection has ended; protocol: too long or malformed. True: more are
  /// wanted; after an error none comes, whatever it says.
  virtual bool on_message(Result<Message> message) = 0;

 private:
  Result<Message> take_message();

  std::array<std::byte, 4> prefix_{};
  std::string body_;   ///< its memory stays for the next message, where that is not much
  size_t filled_ = 0;  ///< bytes of prefix and body
};

}  // namespace krakend::p2p
