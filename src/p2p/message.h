#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "krakend/core/bitfield.h"
#include "krakend/core/digest.h"
#include "krakend/core/ids.h"
#include "krakend/core/metainfo.h"
#include "krakend/core/result.h"
#include "krakend/io/net.h"

namespace krakend::p2p {

/// Limit on the protobuf part of a message, in bytes; the payload behind a PiecePayload does not count.
inline constexpr size_t max_message_size = 32 * 1024;

// The messages of the wire (contract p2p §2, §3), decoded and checked. Names follow the protobuf schema.

struct Handshake {  // BITFIELD
  InfoHash info_hash;
  Digest digest;
  PeerId peer_id;
  Bitfield have;
  std::string ns;                  ///< only the opener sends it
  std::vector<PeerId> neighbours;  ///< peers connected to the sender
};
struct PieceRequest {
  uint32_t index = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
};
struct PiecePayload {  ///< followed by `length` raw bytes
  uint32_t index = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
};
struct AnnouncePiece {
  uint32_t index = 0;
};
struct CancelPiece {
  uint32_t index = 0;
};
struct PieceError {  ///< ERROR, code PIECE_REQUEST_FAILED
  uint32_t index = 0;
  std::string text;
};
struct Complete {};
/// A type this version does not know: skipped.
struct Ignored {};

using Message = std::variant<Handshake, PieceRequest, PiecePayload, AnnouncePiece, CancelPiece, PieceError,
                             Complete, Ignored>;

/// Decodes the protobuf bytes of one message. protocol: broken protobuf, a missing body, negative numbers,
/// bad ids. All of these crash or poison a reference peer (contract p2p §17), so they never pass.
Result<Message> decode_message(std::string_view bytes);

/// The frame as it goes on the wire: length prefix and protobuf bytes. A handshake that would exceed
/// max_message_size loses neighbours until it fits.
std::string encode_frame(const Message& message);

/// Reads one frame. network: the connection ended; protocol: too long or malformed.
Task<Result<Message>> read_message(io::Stream& stream);

}  // namespace krakend::p2p
