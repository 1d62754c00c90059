#include "roles/tracker/announce_parser.h"

#include "support/catch.h"

using namespace krakend;
using namespace krakend::tracker;

namespace {

// Contract p2p §15.1.
constexpr std::string_view sound =
    R"({"name":"23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4",)"
    R"("digest":"sha256:23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4",)"
    R"("info_hash":[156,81,192,94,35,41,43,187,91,132,37,145,97,211,6,209,103,73,154,48],)"
    R"("peer":{"peer_id":[152,194,177,22,78,124,152,137,5,121,65,255,252,170,103,164,95,85,1,186],)"
    R"("ip":"10.0.0.1","port":16001,"origin":false,"complete":false}})";

std::string replace(std::string_view text, std::string_view from, std::string_view to) {
  std::string out(text);
  const size_t at = out.find(from);
  REQUIRE(at != std::string::npos);
  return out.replace(at, from.size(), to);
}

int status_of(std::string_view body) {
  const auto parsed = parse_announce(body);
  return parsed ? 200 : parsed.error().http_status;
}

}  // namespace

TEST_CASE("the announce of a Go agent is understood") {
  const auto request = parse_announce(sound);
  REQUIRE(request);
  CHECK(request->info_hash.hex() == "9c51c05e23292bbb5b84259161d306d167499a30");
  CHECK(request->digest.hex() == "23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4");
  CHECK(request->peer.peer_id.hex() == "98c2b1164e7c9889057941fffcaa67a45f5501ba");
  CHECK(request->peer.ip == "10.0.0.1");
  CHECK(request->peer.port == 16001);
}

TEST_CASE("malformed announces are 500 as at the reference") {
  CHECK(status_of("{") == 500);
  CHECK(status_of("") == 500);
  CHECK(status_of("[]") == 500);
  CHECK(status_of(R"({"name":"aa"})") == 500);
  CHECK(status_of(R"({"info_hash":"9c51c05e23292bbb5b84259161d306d167499a30"})") == 500);
}

TEST_CASE("a missing peer is 400, not a crash") {
  const std::string_view head = sound.substr(0, sound.find(R"(,"peer")"));
  CHECK(status_of(fmt::format("{}}}", head)) == 400);
  CHECK(status_of(fmt::format(R"({},"peer":null}})", head)) == 400);
}

TEST_CASE("addresses that nobody can dial are refused") {
  CHECK(status_of(replace(sound, "16001", "0")) == 400);
  CHECK(status_of(replace(sound, "16001", "65536")) >= 400);
  CHECK(status_of(replace(sound, "10.0.0.1", "")) == 400);
  CHECK(status_of(replace(sound, "10.0.0.1", std::string(254, 'a'))) == 400);
}
