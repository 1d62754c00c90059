#include "p2p/message.h"

#include <array>
#include <limits>
#include <optional>
#include <protozero/basic_pbf_writer.hpp>
#include <protozero/buffer_fixed.hpp>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "krakend/core/hex.h"

namespace krakend::p2p {
namespace {

enum Type : int32_t {
  bitfield = 0,
  piece_request = 1,
  piece_payload = 2,
  announce_piece = 3,
  cancel_piece = 4,
  error = 5,
  complete = 6,
  load_report = 100,
  busy = 101
};

// Field numbers of p2p.Message and of its bodies.
constexpr protozero::pbf_tag_type tag_type = 2;
constexpr protozero::pbf_tag_type tag_bitfield = 3;
constexpr protozero::pbf_tag_type tag_request = 4;
constexpr protozero::pbf_tag_type tag_payload = 5;
constexpr protozero::pbf_tag_type tag_announce = 6;
constexpr protozero::pbf_tag_type tag_cancel = 7;
constexpr protozero::pbf_tag_type tag_error = 8;
constexpr protozero::pbf_tag_type tag_complete = 9;
constexpr protozero::pbf_tag_type tag_extension = 100;

/// The value of an empty remote bitfield: what a reference peer sends for every neighbour (contract p2p
/// §3.1).
constexpr std::string_view empty_bitfield{"\0\0\0\0\0\0\0\0", 8};

bool valid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    const size_t length = lead < 0x80                   ? 1
                          : lead >= 0xC2 && lead < 0xE0 ? 2
                          : (lead & 0xF0) == 0xE0       ? 3
                          : lead >= 0xF0 && lead < 0xF5 ? 4
                                                        : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<uint8_t>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

/// Thrown inside decode_message only, for what protobuf allows and the protocol does not.
struct Malformed {
  const char* what;
};

uint32_t non_negative(int32_t value) {
  if (value < 0) throw Malformed{"negative number"};
  return static_cast<uint32_t>(value);
}

struct PieceFields {
  uint32_t index = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
};

PieceFields decode_piece_fields(protozero::pbf_reader body) {
  PieceFields fields;
  while (body.next()) {
    if (body.wire_type() != protozero::pbf_wire_type::varint) {
      body.skip();
      continue;
    }
    switch (body.tag()) {
      case 2:
        fields.index = non_negative(body.get_int32());
        break;
      case 3:
        fields.offset = non_negative(body.get_int32());
        break;
      case 4:
        fields.length = non_negative(body.get_int32());
        break;
      default:
        body.skip();
    }
  }
  return fields;
}

struct Extension {
  uint32_t version = 0;
  std::optional<Load> load;
  std::optional<uint32_t> retry_ms;
};

Extension decode_extension(protozero::pbf_reader body) {
  Extension result;
  Load load;
  bool told = false;
  while (body.next()) {
    if (body.wire_type() != protozero::pbf_wire_type::varint) {
      body.skip();
      continue;
    }
    switch (body.tag()) {
      case 1:
        result.version = body.get_uint32();
        break;
      case 2:
        load.queued = body.get_uint64();
        told = true;
        break;
      case 3:
        load.rate = body.get_uint64();
        told = true;
        break;
      case 4:
        result.retry_ms = body.get_uint32();
        break;
      default:
        body.skip();
    }
  }
  if (told) result.load = load;
  return result;
}

PieceError decode_error(protozero::pbf_reader body) {
  PieceError result;
  while (body.next()) {
    if (body.tag() == 2 && body.wire_type() == protozero::pbf_wire_type::length_delimited) {
      result.text = body.get_string();
    } else if (body.tag() == 3 && body.wire_type() == protozero::pbf_wire_type::varint) {
      result.index = non_negative(body.get_int32());
    } else {
      body.skip();
    }
  }
  return result;
}

PeerId decode_neighbour(protozero::pbf_reader entry) {
  std::string key;
  std::string value;
  while (entry.next()) {
    if (entry.wire_type() != protozero::pbf_wire_type::length_delimited)
      throw Malformed{"bad remote bitfield entry"};
    if (entry.tag() == 1)
      key = entry.get_string();
    else if (entry.tag() == 2)
      value = entry.get_string();
    else
      entry.skip();
  }
  auto id = PeerId::parse(key);
  if (!id) throw Malformed{"bad peer id among remote bitfields"};
  if (!Bitfield::decode(value)) throw Malformed{"bad remote bitfield"};
  return *id;
}

Handshake decode_handshake(protozero::pbf_reader body) {
  std::string info_hash, name, peer_id, have;
  Handshake result;
  while (body.next()) {
    if (body.wire_type() != protozero::pbf_wire_type::length_delimited) {
      body.skip();
      continue;
    }
    switch (body.tag()) {
      case 2:
        info_hash = body.get_string();
        break;
      case 3:
        name = body.get_string();
        break;
      case 4:
        peer_id = body.get_string();
        break;
      case 5:
        have = body.get_string();
        break;
      case 6:
        result.ns = body.get_string();
        break;
      case 7:
        result.neighbours.push_back(decode_neighbour(body.get_message()));
        break;
      default:
        body.skip();
    }
  }
  auto hash = InfoHash::parse(info_hash);
  auto digest = Digest::parse_hex(name);
  auto peer = PeerId::parse(peer_id);
  auto field = Bitfield::decode(have);
  if (!hash) throw Malformed{"bad info hash in bitfield message"};
  if (!digest) throw Malformed{"bad name in bitfield message"};
  if (!peer) throw Malformed{"bad peer id in bitfield message"};
  if (!field) throw Malformed{"bad bitfield in bitfield message"};
  result.info_hash = *hash;
  result.digest = *digest;
  result.peer_id = *peer;
  result.have = std::move(*field);
  return result;
}

Message decode_body(int32_t type, const std::array<std::optional<protozero::data_view>, 10>& bodies,
                    const Extension& extension) {
  const auto body = [&](protozero::pbf_tag_type tag) {
    const auto& view = bodies.at(tag);
    if (!view) throw Malformed{"message without the body of its type"};
    return protozero::pbf_reader{*view};
  };
  switch (type) {
    case Type::bitfield: {
      auto handshake = decode_handshake(body(tag_bitfield));
      handshake.extension = extension.version;
      handshake.load = extension.load;
      return handshake;
    }
    case Type::piece_request: {
      const auto f = decode_piece_fields(body(tag_request));
      return PieceRequest{f.index, f.offset, f.length};
    }
    case Type::piece_payload: {
      const auto f = decode_piece_fields(body(tag_payload));
      return PiecePayload{f.index, f.offset, f.length, extension.load};
    }
    case Type::announce_piece:
      return AnnouncePiece{decode_piece_fields(body(tag_announce)).index, extension.load};
    case Type::cancel_piece:
      return CancelPiece{decode_piece_fields(body(tag_cancel)).index, extension.load};
    case Type::error:
      return decode_error(body(tag_error));
    case Type::complete:
      return Complete{};
    case Type::load_report:
      if (!extension.load) throw Malformed{"load report without a load"};
      return LoadReport{*extension.load};
    case Type::busy:
      if (!extension.retry_ms) throw Malformed{"busy without a time"};
      return Busy{std::chrono::milliseconds(*extension.retry_ms)};
    default:
      return Ignored{};
  }
}

/// Fields of a small message, on the stack.
class SmallBody {
 public:
  SmallBody() = default;
  SmallBody(const SmallBody&) = delete;
  SmallBody& operator=(const SmallBody&) = delete;
  ~SmallBody() = default;

  void add_int(protozero::pbf_tag_type tag, uint32_t value) {
    if (value != 0) writer_.add_int32(tag, static_cast<int32_t>(value));
  }
  void add_uint64(protozero::pbf_tag_type tag, uint64_t value) { writer_.add_uint64(tag, value); }
  std::string_view bytes() const { return {memory_.data(), buffer_.size()}; }

 private:
  std::array<char, 48> memory_;  ///< three fields of at most 11 bytes
  protozero::fixed_size_buffer_adaptor buffer_{memory_.data(), memory_.size()};
  protozero::basic_pbf_writer<protozero::fixed_size_buffer_adaptor> writer_{buffer_};
};

/// Adds a message's type (0 is not written) and its one body, present even when empty.
void add_body(std::string& bytes, int32_t type, protozero::pbf_tag_type tag, std::string_view body) {
  protozero::pbf_writer writer{bytes};
  if (type != 0) writer.add_enum(tag_type, type);
  writer.add_message(tag, body.data(), body.size());
}

/// Adds the extension's field.
void add_extension(std::string& bytes, uint32_t version, const std::optional<Load>& load) {
  if (version == 0 && !load) return;
  SmallBody body;
  body.add_int(1, version);
  if (load) {
    body.add_uint64(2, load->queued);
    body.add_uint64(3, load->rate);
  }
  protozero::pbf_writer{bytes}.add_message(tag_extension, body.bytes().data(), body.bytes().size());
}

void add_piece(std::string& bytes, int32_t type, protozero::pbf_tag_type tag, PieceFields fields) {
  SmallBody body;
  body.add_int(2, fields.index);
  body.add_int(3, fields.offset);
  body.add_int(4, fields.length);
  add_body(bytes, type, tag, body.bytes());
}

std::string handshake_body(const Handshake& handshake, size_t neighbours) {
  std::string body;
  protozero::pbf_writer writer{body};
  writer.add_string(2, handshake.info_hash.hex());
  writer.add_string(3, handshake.digest.hex());
  writer.add_string(4, handshake.peer_id.hex());
  writer.add_bytes(5, handshake.have.encode());
  if (!handshake.ns.empty() && valid_utf8(handshake.ns)) writer.add_string(6, handshake.ns);
  for (size_t i = 0; i < neighbours; ++i) {
    std::string entry;
    protozero::pbf_writer entry_writer{entry};
    entry_writer.add_string(1, handshake.neighbours[i].hex());
    entry_writer.add_bytes(2, empty_bitfield.data(), empty_bitfield.size());
    writer.add_message(7, entry);
  }
  return body;
}

/// Adds the protobuf bytes of a message.
struct Encoder {
  std::string& bytes;

  void operator()(const Handshake& m) const {
    const size_t begin = bytes.size();
    for (size_t neighbours = m.neighbours.size();; neighbours /= 2) {
      bytes.resize(begin);
      add_body(bytes, Type::bitfield, tag_bitfield, handshake_body(m, neighbours));
      add_extension(bytes, m.extension, m.load);
      if (bytes.size() - begin <= max_message_size || neighbours == 0) return;
    }
  }
  void operator()(const PieceRequest& m) const {
    add_piece(bytes, Type::piece_request, tag_request, {m.index, m.offset, m.length});
  }
  void operator()(const PiecePayload& m) const {
    add_piece(bytes, Type::piece_payload, tag_payload, {m.index, m.offset, m.length});
    add_extension(bytes, 0, m.load);
  }
  void operator()(const AnnouncePiece& m) const {
    add_piece(bytes, Type::announce_piece, tag_announce, {m.index, 0, 0});
    add_extension(bytes, 0, m.load);
  }
  void operator()(const CancelPiece& m) const {
    add_piece(bytes, Type::cancel_piece, tag_cancel, {m.index, 0, 0});
    add_extension(bytes, 0, m.load);
  }
  void operator()(const PieceError& m) const {
    std::string body;
    protozero::pbf_writer writer{body};
    writer.add_string(2, m.text);
    if (m.index != 0) writer.add_int32(3, static_cast<int32_t>(m.index));
    add_body(bytes, Type::error, tag_error, body);
  }
  void operator()(const Complete&) const { protozero::pbf_writer{bytes}.add_enum(tag_type, Type::complete); }
  void operator()(const LoadReport& m) const {
    protozero::pbf_writer{bytes}.add_enum(tag_type, Type::load_report);
    add_extension(bytes, 0, m.load);
  }
  void operator()(const Busy& m) const {
    protozero::pbf_writer{bytes}.add_enum(tag_type, Type::busy);
    std::string body;
    protozero::pbf_writer{body}.add_uint32(
        4, static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(m.retry).count()));
    protozero::pbf_writer{bytes}.add_message(tag_extension, body);
  }
  void operator()(const Ignored&) const {}
};

}  // namespace

Result<Message> decode_message(std::string_view bytes) {
  try {
    int32_t type = 0;
    std::array<std::optional<protozero::data_view>, 10> bodies;
    Extension extension;
    protozero::pbf_reader reader{bytes.data(), bytes.size()};
    while (reader.next()) {
      const auto tag = reader.tag();
      if (tag == tag_type && reader.wire_type() == protozero::pbf_wire_type::varint) {
        type = reader.get_enum();
      } else if (tag >= tag_bitfield && tag <= tag_complete &&
                 reader.wire_type() == protozero::pbf_wire_type::length_delimited) {
        bodies.at(tag) = reader.get_view();
      } else if (tag == tag_extension && reader.wire_type() == protozero::pbf_wire_type::length_delimited) {
        extension = decode_extension(reader.get_message());
      } else {
        reader.skip();
      }
    }
    return decode_body(type, bodies, extension);
  } catch (const Malformed& malformed) {
    return fail(Errc::protocol, "peer message: {}", malformed.what);
  } catch (const protozero::exception& broken) {
    return fail(Errc::protocol, "peer message: {}", broken.what());
  }
}

std::string encode_frame(const Message& message) {
  constexpr size_t prefix = 4;
  constexpr size_t usual = 64;  // bytes; all but handshakes and errors
  std::string frame;
  frame.reserve(usual);
  frame.resize(prefix);
  std::visit(Encoder{frame}, message);
  const auto size = static_cast<uint32_t>(frame.size() - prefix);
  for (size_t i = 0; i < prefix; ++i) frame[i] = static_cast<char>(size >> (8 * (prefix - 1 - i)) & 0xFF);
  return frame;
}

}  // namespace krakend::p2p
