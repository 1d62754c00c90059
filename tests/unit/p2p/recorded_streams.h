#pragma once

#include <string>
#include <vector>

#include "p2p/message.h"
#include "support/catch.h"
#include "support/hex_text.h"

namespace krakend::test {

/// One frame as it was on the wire, and the payload behind it.
struct RecordedFrame {
  std::string bytes;
  p2p::Message message;
  std::string payload;
};

/// What both sides of one connection of reference peers sent.
struct RecordedStream {
  std::string title;
  std::string opener;
  std::string acceptor;
};

std::vector<RecordedStream> recorded_streams();

inline std::vector<RecordedFrame> split_frames(std::string_view stream) {
  std::vector<RecordedFrame> frames;
  while (!stream.empty()) {
    REQUIRE(stream.size() >= 4);
    size_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<uint8_t>(stream[i]);
    REQUIRE(stream.size() >= 4 + length);
    auto message = p2p::decode_message(stream.substr(4, length));
    REQUIRE(message);
    RecordedFrame frame{std::string(stream.substr(0, 4 + length)), *message, ""};
    stream.remove_prefix(4 + length);
    if (const auto* payload = std::get_if<p2p::PiecePayload>(&frame.message)) {
      REQUIRE(stream.size() >= payload->length);
      frame.payload = stream.substr(0, payload->length);
      stream.remove_prefix(payload->length);
    }
    frames.push_back(std::move(frame));
  }
  return frames;
}

/// The blob whose pieces a stream carries.
inline std::string blob_of(std::string_view stream, uint32_t piece_length, size_t length) {
  std::string blob(length, '\0');
  for (const auto& frame : split_frames(stream)) {
    const auto* payload = std::get_if<p2p::PiecePayload>(&frame.message);
    if (payload != nullptr) blob.replace(payload->index * piece_length, payload->length, frame.payload);
  }
  return blob;
}

}  // namespace krakend::test
