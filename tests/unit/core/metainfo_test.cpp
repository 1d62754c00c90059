#include "krakend/core/metainfo.h"

#include <fstream>

#include "krakend/core/hash.h"
#include "krakend/core/hex.h"
#include "krakend/core/peer.h"
#include "support/catch.h"

using namespace krakend;

namespace {

const std::string hello_json =
    R"({"Info":{"PieceLength":5,"PieceSums":[907060870,439875091,4082745666],"Name":)"
    R"("23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4","Length":12}})";

}  // namespace

TEST_CASE("metainfo of the contract: JSON, bencode and info hash") {
  const auto info = MetaInfo::parse(hello_json);
  REQUIRE(info);
  CHECK(info->json() == hello_json);
  CHECK(bencode_info(*info) ==
        "d6:Lengthi12e4:Name64:23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4"
        "11:PieceLengthi5e9:PieceSumsli907060870ei439875091ei4082745666eee");
  CHECK(info->info_hash().hex() == "9c51c05e23292bbb5b84259161d306d167499a30");
  CHECK(info->piece_size(0) == 5);
  CHECK(info->piece_size(2) == 2);
  CHECK(info->piece_size(3) == 0);
}

TEST_CASE("old metainfo with extra keys") {
  const auto info = MetaInfo::parse(
      R"({"Info":{"PieceLength":4194304,"PieceSums":[2131691452],"Name":)"
      R"("289314c356bc2a19802c3e31505506db30ea81a0bcaea4ec3e079524c8ac3cf5","Length":236},"Announce":"",)"
      R"("AnnounceList":null,"CreationDate":0,"Comment":"","CreatedBy":""})");
  REQUIRE(info);
  CHECK(info->info_hash().hex() == "85b978c4377625b3963df406d0dd3a1da5a7d9c3");
}

TEST_CASE("metainfo of an empty blob") {
  const auto info = MetaInfo::make(Digest::of(""), 0, 4194304, {});
  REQUIRE(info);
  CHECK(info->json() == R"({"Info":{"PieceLength":4194304,"PieceSums":null,"Name":)"
                        R"("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","Length":0}})");
  CHECK(info->info_hash().hex() == "bd0cf4b9dd85d372bcb5ca5bb3ba752af0ea3e5d");
  CHECK(MetaInfo::parse(info->json())->info_hash() == info->info_hash());
}

TEST_CASE("recorded metainfo agrees with recorded info hashes") {
  std::ifstream file(KRAKEND_TEST_DATA "/metainfo-infohash.txt");
  std::string json, hash;
  std::getline(file, json);
  int pairs = 0;
  while (std::getline(file, json) && std::getline(file, hash)) {
    const auto info = MetaInfo::parse(json);
    REQUIRE(info);
    CHECK(info->info_hash().hex() == hash);
    CHECK(info->json() == json);
    ++pairs;
  }
  CHECK(pairs == 10);
}

TEST_CASE("hostile metainfo is an error, not a crash") {
  for (const auto* text : {"", "[]", "{}", R"({"Info":null})", R"({"Info":{"PieceLength":-1}})",
                           R"({"Info":{"PieceLength":0,"PieceSums":null,"Name":"00","Length":0}})"}) {
    CHECK_FALSE(MetaInfo::parse(text));
  }
  CHECK(MetaInfo::make(Digest::of("x"), 10, 5, {1}).error().code == Errc::invalid_argument);
  CHECK(MetaInfo::make(Digest::of("x"), 1'000'000, 1, {}).error().code == Errc::too_large);
}

TEST_CASE("piece sums of a stream in any portions") {
  CHECK(crc32(0, as_bytes("123456789")) == 3421780262);
  CHECK(crc32(crc32(0, as_bytes("1234")), as_bytes("56789")) == 3421780262);
  CHECK(crc32_combine(crc32(0, as_bytes("1234")), crc32(0, as_bytes("56789")), 5) == 3421780262);
  for (size_t step = 1; step <= 12; ++step) {
    PieceSummer summer(5);
    const std::string_view text = "hello kraken";
    for (size_t at = 0; at < text.size(); at += step) summer.update(as_bytes(text.substr(at, step)));
    CHECK(summer.take() == std::vector<uint32_t>{907060870, 439875091, 4082745666});
  }
  const std::string_view text = "hello kraken, once more";
  for (const uint64_t piece_length : {4, 8, 20, 24, 400}) {
    PieceSummer parts(4);
    PieceSummer pieces(piece_length);
    parts.update(as_bytes(text));
    pieces.update(as_bytes(text));
    CHECK(parts.take(piece_length) == pieces.take());
  }
  CHECK(PieceSummer(4).take(8).empty());
}

TEST_CASE("peer ids and peer JSON of the contract") {
  const auto id = addr_hash_peer_id("10.0.0.1", 16001);
  CHECK(id.hex() == "98c2b1164e7c9889057941fffcaa67a45f5501ba");
  const PeerInfo peer{id, "10.0.0.1", 16001, true, true};
  CHECK(peer.json() ==
        R"({"peer_id":[152,194,177,22,78,124,152,137,5,121,65,255,252,170,103,164,95,85,1,186],)"
        R"("ip":"10.0.0.1","port":16001,"origin":true,"complete":true})");
  CHECK(*PeerInfo::parse(peer.json()) == peer);
  const PeerContext context{"10.0.0.1", 16001, id, "zone1", "cluster1", true};
  CHECK(context.json() ==
        R"({"ip":"10.0.0.1","port":16001,"peer_id":[152,194,177,22,78,124,152,137,5,121,65,255,252,170,103,)"
        R"(164,95,85,1,186],"zone":"zone1","cluster":"cluster1","origin":true})");
  CHECK_FALSE(AnnounceRequest::parse(R"({"name":"x"})"));
}
