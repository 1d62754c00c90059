#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "krakend/core/bitfield.h"
#include "krakend/core/digest.h"
#include "krakend/core/ids.h"
#include "krakend/core/metainfo.h"
#include "krakend/core/result.h"
#include "krakend/core/time.h"
#include "krakend/io/net.h"

namespace krakend::p2p {

/// Limit on the protobuf part of a message, in bytes; the payload behind a PiecePayload does not count.
inline constexpr size_t max_message_size = 32 * 1024;

// The messages of the wire (contract p2p §2, §3), decoded and checked. Names follow the protobuf schema.
//
// The extension between krakend peers (docs/swarm-extension.md, with vectors): field 100 of p2p.Message,
// which a reference peer skips,
//
//   message Extension { uint32 version = 1; uint64 queued = 2; uint64 rate = 3; uint32 retry_ms = 4; }
//
// An opener always names its version in the handshake, an acceptor only to an opener that did. Between two
// that have, a PIECE_PAYLOAD may carry a portion of a piece: all portions of a piece follow each other in
// order, and other messages but no other payloads may stand between them, so that nothing waits for the end
// of a piece. And any message may tell the sender's Load, a message of type 100 nothing else. Instead of its
// handshake an acceptor that has no room may answer such an opener with a message of type 101, Busy. And who
// has too much to send already may answer a request with a CANCEL_PIECE.

/// What a peer has to send, to all together.
struct Load {
  uint64_t queued = 0;  ///< bytes that it was asked for and has not sent, by peers that take them
  uint64_t rate = 0;    ///< bytes a second that leave it at best, lately; 0: not known
  bool operator==(const Load&) const = default;
};
inline constexpr uint32_t extension_version = 1;

struct Handshake {  // BITFIELD
  InfoHash info_hash;
  Digest digest;
  PeerId peer_id;
  Bitfield have;
  std::string ns;                  ///< only the opener sends it
  std::vector<PeerId> neighbours;  ///< peers connected to the sender
  uint32_t extension = 0;          ///< version; 0: a reference peer
  std::optional<Load> load{};
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
  std::optional<Load> load{};
};
struct AnnouncePiece {
  uint32_t index = 0;
  std::optional<Load> load{};
};
/// From who asked: it needs the piece no more. From who was asked, with its load: it will not send it.
struct CancelPiece {
  uint32_t index = 0;
  std::optional<Load> load{};
};
struct PieceError {  ///< ERROR, code PIECE_REQUEST_FAILED
  uint32_t index = 0;
  std::string text;
};
struct Complete {};
/// Of the extension, alone.
struct LoadReport {
  Load load;
};
/// Of the extension, instead of an acceptor's handshake: no room now. Nothing is wrong with the opener.
struct Busy {
  Duration retry{0};  ///< until it is worth to call again; whole milliseconds
};
/// A type this version does not know: skipped.
struct Ignored {};

using Message = std::variant<Handshake, PieceRequest, PiecePayload, AnnouncePiece, CancelPiece, PieceError,
                             Complete, LoadReport, Busy, Ignored>;

/// Decodes the protobuf bytes of one message. protocol: broken protobuf, a missing body, negative numbers,
/// bad ids. All of these crash or poison a reference peer (contract p2p §17), so they never pass.
Result<Message> decode_message(std::string_view bytes);

/// The frame as it goes on the wire: length prefix and protobuf bytes. A handshake that would exceed
/// max_message_size loses neighbours until it fits.
std::string encode_frame(const Message& message);

/// Reads one frame (message_reader.h). network: the connection ended; protocol: too long or malformed.
Task<Result<Message>> read_message(io::Stream& stream);

}  // namespace krakend::p2p
