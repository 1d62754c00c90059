#include "krakend/api/clients.h"
#include "support/catch.h"
#include "support/fake_client.h"
#include "support/fake_clock.h"
#include "support/run.h"
#include "support/seeded_random.h"

using namespace krakend;
using test::answer;

namespace {

const Digest digest = *Digest::parse_hex("23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4");
const std::string metainfo_json =
    R"({"Info":{"PieceLength":5,"PieceSums":[907060870,439875091,4082745666],)"
    R"("Name":"23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4","Length":12}})";

Result<http::ClientResponse> refused() {
  return fail(Errc::network, "connection refused");
}

struct Fixture {
  io::Loop loop;
  test::FakeClock clock;
  test::SeededRandom random{13};
  test::FakeClient http;
  // Contract core-formats §9: key 23dd → .3, .1, .2
  api::TrackerClient trackers{http, clock, random, {"10.0.0.1:9003", "10.0.0.2:9003", "10.0.0.3:9003"}};

  std::string asked() const {
    std::string out;
    for (const auto& request : http.requests) out += request.host.host.back();
    return out;
  }
  Result<MetaInfo> metainfo() { return test::run(loop, trackers.metainfo("library/ubuntu", digest)); }
  Result<AnnounceResponse> announce() {
    AnnounceRequest request;
    request.digest = digest;
    request.info_hash = *InfoHash::parse("9c51c05e23292bbb5b84259161d306d167499a30");
    request.peer = {addr_hash_peer_id("10.0.0.1", 16001), "10.0.0.1", 16001, false, false};
    return test::run(loop, trackers.announce(std::move(request)));
  }
};

}  // namespace

TEST_CASE("metainfo is asked of the ring's trackers in their order, past those that do not answer") {
  Fixture f;
  f.http.reply([](const http::ClientRequest& request) {
    return request.host.host == "10.0.0.2" ? Result<http::ClientResponse>(answer(200, metainfo_json))
                                           : refused();
  });
  const auto metainfo = f.metainfo();
  REQUIRE(metainfo);
  CHECK(metainfo->length() == 12);
  CHECK(f.asked() == "312");
  CHECK(f.http.calls[0] ==
        "GET 10.0.0.3:9003/namespace/library%2Fubuntu/blobs/" + digest.str() + "/metainfo");
  CHECK(f.http.requests[0].total_timeout == 10s);
}

TEST_CASE("a tracker in trouble is passed over, but its 404 is final") {
  Fixture f;
  f.http.reply([](const http::ClientRequest& request) {
    return request.host.host == "10.0.0.3" ? answer(500) : answer(404);
  });
  CHECK(f.metainfo().error().code == Errc::not_found);
  CHECK(f.asked() == "31");
  f.http.reply([](const http::ClientRequest&) { return answer(503); });
  CHECK(f.metainfo().error().http_status == 503);
}

TEST_CASE("202 is polled on the same tracker, for 15 min at most") {
  Fixture f;
  int polls = 0;
  f.http.reply([&polls](const http::ClientRequest&) {
    return ++polls < 4 ? answer(202) : answer(200, metainfo_json);
  });
  REQUIRE(f.metainfo());
  CHECK(f.asked() == "3333");
  f.http.reply([](const http::ClientRequest&) { return answer(202); });
  f.clock.pauses.clear();
  const auto late = f.metainfo();
  REQUIRE_FALSE(late);
  CHECK(late.error().code == Errc::timeout);
  Duration slept{};
  for (const Duration pause : f.clock.pauses) slept += pause;
  CHECK(slept > 14min);
  CHECK(slept <= 15min);
}

TEST_CASE("metainfo of another blob is refused") {
  Fixture f;
  f.http.reply([](const http::ClientRequest&) { return answer(200, metainfo_json); });
  const auto other = test::run(f.loop, f.trackers.metainfo("x", Digest::of("other")));
  CHECK(other.error().code == Errc::protocol);
}

TEST_CASE("the announce exchange of the contract") {
  Fixture f;
  f.http.reply([](const http::ClientRequest&) {
    return answer(
        200,
        "{\"peers\":[{\"peer_id\":[18,133,104,168,249,251,46,122,143,195,56,233,87,134,158,180,146,222,76,"
        "43],\"ip\":\"10.0.0.9\",\"port\":8080,\"origin\":true,\"complete\":true}],\"interval\":3000000000}"
        "\n");
  });
  const auto response = f.announce();
  REQUIRE(response);
  CHECK(response->interval_ns == 3'000'000'000);
  REQUIRE(response->peers.size() == 1);
  CHECK(response->peers[0].ip == "10.0.0.9");
  CHECK(f.http.calls[0] == "POST 10.0.0.3:9003/announce/9c51c05e23292bbb5b84259161d306d167499a30");
  // Contract p2p §15.1.
  CHECK(std::get<std::string>(f.http.requests[0].body) ==
        R"({"name":"23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4",)"
        R"("digest":"sha256:23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4",)"
        R"("info_hash":[156,81,192,94,35,41,43,187,91,132,37,145,97,211,6,209,103,73,154,48],)"
        R"("peer":{"peer_id":[152,194,177,22,78,124,152,137,5,121,65,255,252,170,103,164,95,85,1,186],)"
        R"("ip":"10.0.0.1","port":16001,"origin":false,"complete":false}})");
}

TEST_CASE("announce goes on to the next tracker after a network error or 5xx") {
  Fixture f;
  f.http.reply([](const http::ClientRequest& request) -> Result<http::ClientResponse> {
    if (request.host.host == "10.0.0.3") return refused();
    if (request.host.host == "10.0.0.1") return answer(500);
    return answer(200, "{\"peers\":null,\"interval\":3000000000}\n");
  });
  REQUIRE(f.announce());
  CHECK(f.asked() == "312");
  f.http.reply([](const http::ClientRequest&) { return answer(400); });
  CHECK(f.announce().error().http_status == 400);
  CHECK(f.http.requests.size() == 4);
}

TEST_CASE("a tracker that failed three times is left alone for 5 min") {
  Fixture f;
  f.http.reply([](const http::ClientRequest& request) -> Result<http::ClientResponse> {
    if (request.host.host == "10.0.0.3") return refused();
    return answer(200, "{\"peers\":null,\"interval\":3000000000}\n");
  });
  for (int round = 0; round < 5; ++round) REQUIRE(f.announce());
  CHECK(f.asked() == "31313111");
  f.clock.advance(5min + 1s);
  REQUIRE(f.announce());
  CHECK(f.asked() == "3131311131");
}
