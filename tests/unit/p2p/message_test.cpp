#include "p2p/message.h"

#include <cstring>
#include <fstream>
#include <sstream>

#include "krakend/core/hex.h"
#include "p2p/message_reader.h"
#include "support/catch.h"
#include "support/hex_text.h"

using namespace krakend;
using krakend::test::bytes_of;
using krakend::test::hex_of;
using namespace krakend::p2p;

namespace {

Handshake contract_handshake(std::string_view peer, Bitfield have, std::string ns) {
  return {*InfoHash::parse("9c51c05e23292bbb5b84259161d306d167499a30"),
          *Digest::parse_hex("23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4"),
          *PeerId::parse(peer),
          std::move(have),
          std::move(ns),
          {}};
}

}  // namespace

TEST_CASE("frames of the contract") {
  CHECK(hex_of(encode_frame(PieceRequest{0, 0, 5})) == "00000006100122022005");
  CHECK(hex_of(encode_frame(PieceRequest{2, 0, 2})) == "000000081001220410022002");
  CHECK(hex_of(encode_frame(PiecePayload{0, 0, 5})) == "0000000610022a022005");
  CHECK(hex_of(encode_frame(PiecePayload{2, 0, 2})) == "0000000810022a0410022002");
  CHECK(hex_of(encode_frame(AnnouncePiece{0})) == "0000000410033200");
  CHECK(hex_of(encode_frame(AnnouncePiece{2})) == "00000006100332021002");
  CHECK(hex_of(encode_frame(PieceError{2, "piece not complete"})) ==
        "0000001a1005421612127069656365206e6f7420636f6d706c6574651802");
  CHECK(hex_of(encode_frame(Complete{})) == "000000021006");
  CHECK(hex_of(encode_frame(
            contract_handshake("98c2b1164e7c9889057941fffcaa67a45f5501ba", Bitfield(3), "library/alpine"))) ==
        "000000bb1ab801"
        "122839633531633035653233323932626262356238343235393136316433303664313637343939613330"
        "1a40323364643436343431376430316631356439376434383234346462653839336566386433306463373762613266303137"
        "38626330"
        "6135623738333836353061342228393863326231313634653763393838393035373934316666666361613637613435663535"
        "3031626"
        "12a1000000000000000030000000000000000320e6c6962726172792f616c70696e65");
}

TEST_CASE("frames of the extension") {
  // The vectors of docs/swarm-extension.md.
  CHECK(hex_of(encode_frame(PiecePayload{2, 262144, 262144, Load{8388608, 25000000}})) ==
        "0000001b10022a0a10021880801020808010a2060a108080800418c0f0f50b");
  CHECK(hex_of(encode_frame(AnnouncePiece{2, Load{0, 25000000}})) ==
        "00000010100332021002a20607100018c0f0f50b");
  CHECK(hex_of(encode_frame(LoadReport{{4194304, 25000000}})) == "0000000f1064a2060a108080800218c0f0f50b");
  CHECK(hex_of(encode_frame(CancelPiece{2, Load{4194304, 25000000}})) ==
        "0000001310043a021002a2060a108080800218c0f0f50b");
  CHECK(hex_of(encode_frame(Busy{1s})) == "000000081065a2060320e807");
  const auto busy = decode_message(std::string_view(encode_frame(Busy{250ms})).substr(4));
  REQUIRE(busy);
  CHECK(std::get<Busy>(*busy).retry == 250ms);
  CHECK_FALSE(decode_message(std::string("\x10\x65", 2)));  // busy, for how long?
  auto handshake =
      contract_handshake("98c2b1164e7c9889057941fffcaa67a45f5501ba", Bitfield(3), "library/alpine");
  const auto plain = encode_frame(handshake);
  handshake.extension = 1;
  handshake.load = Load{0, 0};
  const auto extended = encode_frame(handshake);
  CHECK(extended.substr(4, plain.size() - 4) == plain.substr(4));
  CHECK(hex_of(extended.substr(plain.size())) == "a20606080110001800");
  const auto read = decode_message(std::string_view(extended).substr(4));
  REQUIRE(read);
  CHECK(std::get<Handshake>(*read).extension == 1);
  CHECK(std::get<Handshake>(*read).load == Load{});
  for (const Message& message :
       {Message(PiecePayload{2, 0, 7, Load{5, 6}}), Message(AnnouncePiece{1, Load{5, 6}}),
        Message(LoadReport{{5, 6}}), Message(CancelPiece{1, Load{5, 6}})}) {
    const auto frame = encode_frame(message);
    const auto back = decode_message(std::string_view(frame).substr(4));
    REQUIRE(back);
    CHECK(encode_frame(*back) == frame);
  }
}

TEST_CASE("recorded frames decode, and encode to the same bytes") {
  std::ifstream file(KRAKEND_TEST_DATA "/p2p/frames.txt");
  std::string line;
  std::getline(file, line);
  int frames = 0;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string type, hex;
    words >> type >> hex;
    CAPTURE(type, hex);
    const auto frame = bytes_of(hex);
    const auto message = decode_message(std::string_view(frame).substr(4));
    REQUIRE(message);
    ++frames;
    // Map order is free, so several neighbours may come out in another order.
    const auto* handshake = std::get_if<Handshake>(&*message);
    if (handshake == nullptr || handshake->neighbours.size() < 2)
      CHECK(hex_of(encode_frame(*message)) == hex);
  }
  CHECK(frames == 100);
}

TEST_CASE("what crashes a reference peer is refused") {
  for (const auto* hex : {"1001", "1002", "1003", "1005",    // body missing
                          "", "10032a02",                    // handshake without body, truncated
                          "1001220b20ffffffffffffffffff01",  // negative length
                          "1003320b10ffffffffffffffffff01",  // negative index
                          "1a021200"}) {                     // empty handshake
    CAPTURE(hex);
    CHECK_FALSE(decode_message(bytes_of(hex)));
  }
  CHECK(std::holds_alternative<Ignored>(*decode_message(bytes_of("1063"))));
}

TEST_CASE("a handshake never exceeds the message limit") {
  auto handshake = contract_handshake("98c2b1164e7c9889057941fffcaa67a45f5501ba", Bitfield(max_pieces), "a");
  handshake.neighbours.assign(2000, handshake.peer_id);
  const auto frame = encode_frame(handshake);
  CHECK(frame.size() <= max_message_size + 4);
  CHECK(std::get<Handshake>(*decode_message(std::string_view(frame).substr(4))).neighbours.size() > 100);
}

/// Keeps what was read last.
struct LastMessage final : MessageReader {
  std::optional<Result<p2p::Message>> last;
  bool more = true;

 private:
  bool on_message(Result<p2p::Message> message) override {
    last.emplace(std::move(message));
    return more;
  }
};

TEST_CASE("a message is put together from whatever arrives, and no byte more is taken") {
  const std::string messages =
      encode_frame(AnnouncePiece{7}) + encode_frame(PieceError{1, std::string(500, 'x')});
  std::string_view left = messages;
  const size_t most = GENERATE(1, 3, 5, 1000);
  LastMessage reader;
  const auto next = [&] {
    reader.last.reset();
    while (!reader.last) {
      const auto space = reader.space();
      REQUIRE_FALSE(space.empty());
      const size_t part = std::min({most, space.size(), left.size()});
      std::memcpy(space.data(), left.data(), part);
      left.remove_prefix(part);
      CHECK(reader.took(part));
    }
    return std::move(*reader.last);
  };
  CHECK(std::get<AnnouncePiece>(*next()).index == 7);
  CHECK(std::get<PieceError>(*next()).text == std::string(500, 'x'));
  CHECK(left.empty());
}

TEST_CASE("a stream that ends, or announces too much, is an error of the reader") {
  LastMessage ended;
  CHECK_FALSE(ended.took(0));
  CHECK(ended.last->error().code == Errc::network);
  LastMessage flooded;
  const uint8_t prefix[] = {0, 0, 0x80, 1};
  std::memcpy(flooded.space().data(), prefix, sizeof prefix);
  CHECK_FALSE(flooded.took(sizeof prefix));
  CHECK(flooded.last->error().code == Errc::protocol);
  CHECK(flooded.last->error().message == "peer message of 32769 bytes exceeds the limit of 32768");
}
