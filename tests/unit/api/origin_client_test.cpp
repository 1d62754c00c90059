#include "krakend/api/clients.h"
#include "support/catch.h"
#include "support/fake_client.h"
#include "support/fake_clock.h"
#include "support/run.h"

using namespace krakend;
using test::answer;

namespace {

// Contract http-api §16.2.
const Digest digest = *Digest::parse_hex("23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4");
const std::string metainfo_json =
    R"({"Info":{"PieceLength":5,"PieceSums":[907060870,439875091,4082745666],)"
    R"("Name":"23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4","Length":12}})";
const std::string uid = "6f1c2a34-0000-4000-8000-000000000000";
const std::string host = "origin1:15002";
const std::string blob = "/blobs/sha256:23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4";
const std::string ns_blob = "/namespace/library%2Fubuntu" + blob;

struct Fixture {
  io::Loop loop;
  test::FakeClient http;
  api::OriginClient origin{http, host};

  void reply(http::ClientResponse response) {
    http.reply([response = std::move(response)](const http::ClientRequest&) { return response; });
  }
  /// Upload protocol that answers `status` at the step of that method.
  void upload_with(const std::string& method, int status) {
    http.reply([method, status](const http::ClientRequest& request) {
      if (request.method == method) return answer(status);
      return request.method == "POST" ? answer(200, "", {{"Location", uid}}) : answer(200);
    });
  }
  Result<void> upload(uint64_t size) {
    return test::run(loop, origin.upload("library/ubuntu", digest, nullptr, size));
  }
};

}  // namespace

TEST_CASE("the upload exchange of the contract") {
  Fixture f;
  f.upload_with("", 0);
  REQUIRE(f.upload(12));
  CHECK(f.http.calls == std::vector<std::string>{"POST " + host + ns_blob + "/uploads?size=12",
                                                 "PATCH " + host + ns_blob + "/uploads/" + uid,
                                                 "PUT " + host + ns_blob + "/uploads/" + uid});
  CHECK(f.http.requests[1].headers.get("Content-Range") == "0-12");
  CHECK(std::get<http::FileRange>(f.http.requests[1].body).length == 12);
  CHECK(f.http.requests[0].total_timeout == 60s);
  CHECK(f.http.requests[2].total_timeout == 15min);
  CHECK(f.http.requests[2].idle_timeout == 15min);
}

TEST_CASE("an empty blob sends no PATCH; a large one goes in chunks of 32 MiB") {
  Fixture f;
  f.upload_with("", 0);
  REQUIRE(f.upload(0));
  CHECK(f.http.calls.size() == 2);
  f.http.requests.clear();
  REQUIRE(f.upload(70 * MiB));
  REQUIRE(f.http.requests.size() == 5);
  CHECK(f.http.requests[1].headers.get("Content-Range") == "0-33554432");
  CHECK(f.http.requests[2].headers.get("Content-Range") == "33554432-67108864");
  CHECK(f.http.requests[3].headers.get("Content-Range") == "67108864-73400320");
  CHECK(std::get<http::FileRange>(f.http.requests[3].body).offset == 64 * MiB);
}

TEST_CASE("409 at any step of an upload is success") {
  for (const std::string method : {"POST", "PATCH", "PUT"}) {
    CAPTURE(method);
    Fixture f;
    f.upload_with(method, 409);
    CHECK(f.upload(12));
    CHECK(f.http.requests.back().method == method);
  }
}

TEST_CASE("any other status ends an upload") {
  for (const std::string method : {"POST", "PATCH", "PUT"}) {
    for (const int status : {201, 202, 400, 404, 500, 503}) {
      CAPTURE(method, status);
      Fixture f;
      f.upload_with(method, status);
      const auto done = f.upload(12);
      REQUIRE_FALSE(done);
      CHECK(done.error().http_status == status);
    }
  }
  Fixture f;
  f.reply(answer(200));
  CHECK(f.upload(12).error().code == Errc::protocol);  // no Location
}

TEST_CASE("duplicate commit and internal transfer differ in paths") {
  Fixture f;
  f.upload_with("", 0);
  REQUIRE(test::run(f.loop, f.origin.duplicate("library/ubuntu", digest, nullptr, 12, 30min)));
  CHECK(f.http.calls[0] == "POST " + host + ns_blob + "/uploads?size=12");
  CHECK(f.http.calls[1] == "PATCH " + host + ns_blob + "/uploads/" + uid);
  CHECK(f.http.calls[2] == "PUT " + host + "/internal/duplicate" + ns_blob + "/uploads/" + uid);
  CHECK(std::get<std::string>(f.http.requests[2].body) == R"({"Delay":1800000000000})");
  f.http.calls.clear();
  REQUIRE(test::run(f.loop, f.origin.transfer(digest, nullptr, 12)));
  CHECK(f.http.calls == std::vector<std::string>{"POST " + host + "/internal" + blob + "/uploads?size=12",
                                                 "PATCH " + host + "/internal" + blob + "/uploads/" + uid,
                                                 "PUT " + host + "/internal" + blob + "/uploads/" + uid});
}

TEST_CASE("a copy to another origin keeps to the limit of what leaves the process, when there is one") {
  Fixture f;
  f.upload_with("", 0);
  test::FakeClock clock;
  io::Bandwidth egress(clock);
  api::OriginClient origin(f.http, host, {&egress, nullptr});
  REQUIRE(test::run(f.loop, origin.transfer(digest, nullptr, 40 * MiB)));
  CHECK(f.http.requests.size() == 4);  // no limit: chunks of 32 MiB
  f.http.requests.clear();
  egress.set_rate(10 * MiB);
  const TimePoint began = clock.now();
  REQUIRE(test::run(f.loop, origin.transfer(digest, nullptr, 40 * MiB)));
  REQUIRE(f.http.requests.size() == 42);
  CHECK(std::get<http::FileRange>(f.http.requests[40].body).offset == 39 * MiB);
  CHECK(to_seconds(clock.now() - began) > 3.8);  // the last chunk is sent when its time begins
  CHECK(to_seconds(clock.now() - began) < 4.0);
}

TEST_CASE("while what comes in is limited, a copy comes in ranges of 1 MiB, at that rate") {
  Fixture f;
  test::FakeClock clock;
  io::Bandwidth ingress(clock);
  api::OriginClient origin(f.http, host, {nullptr, &ingress});
  io::NullSink sink;
  f.reply(answer(200));
  REQUIRE(test::run(f.loop, origin.fetch("ns", digest, 3 * MiB, sink)));
  CHECK_FALSE(f.http.requests.at(0).headers.has("Range"));  // no limit: all at once
  f.http.requests.clear();
  ingress.set_rate(1 * MiB);
  f.reply(answer(206));
  const TimePoint began = clock.now();
  REQUIRE(test::run(f.loop, origin.fetch("ns", digest, 3 * MiB - 1, sink)));
  REQUIRE(f.http.requests.size() == 3);
  CHECK(f.http.requests[0].headers.get("Range") == "bytes=0-1048575");
  CHECK(f.http.requests[2].headers.get("Range") == "bytes=2097152-3145726");
  CHECK(to_seconds(clock.now() - began) > 1.9);
  f.http.requests.clear();
  f.reply(answer(200));  // one that takes no ranges has sent everything
  REQUIRE(test::run(f.loop, origin.fetch("ns", digest, 3 * MiB, sink)));
  CHECK(f.http.requests.size() == 1);
  f.reply(answer(404));
  CHECK(test::run(f.loop, origin.fetch("ns", digest, 3 * MiB, sink)).error().code == Errc::not_found);
}

TEST_CASE("locations are a comma list in ring order") {
  Fixture f;
  f.reply(answer(200, "", {{"Origin-Locations", "127.0.0.1:15103,127.0.0.1:15101"}}));
  const auto found = test::run(f.loop, f.origin.locations(digest));
  REQUIRE(found);
  CHECK(*found == std::vector<std::string>{"127.0.0.1:15103", "127.0.0.1:15101"});
  CHECK(f.http.calls[0] == "GET " + host + blob + "/locations");
  CHECK(f.http.requests[0].total_timeout == 5s);
  f.reply(answer(200));
  CHECK_FALSE(test::run(f.loop, f.origin.locations(digest)));
}

TEST_CASE("stat reads Content-Length, and says not_found for 404") {
  Fixture f;
  f.reply(answer(200, "", {{"Content-Length", "305"}}));
  CHECK(*test::run(f.loop, f.origin.stat("lib/cap1:v1", digest)) == 305);
  CHECK(f.http.calls[0] == "HEAD " + host + "/internal/namespace/lib%2Fcap1:v1" + blob);
  CHECK(*test::run(f.loop, f.origin.stat("lib/cap1:v1", digest, true)) == 305);
  CHECK(f.http.calls[1] == "HEAD " + host + "/internal/namespace/lib%2Fcap1:v1" + blob + "?local=true");
  f.reply(answer(404));
  const auto missing = test::run(f.loop, f.origin.stat("x", digest));
  CHECK(missing.error().code == Errc::not_found);
  CHECK(missing.error().http_status == 404);
}

TEST_CASE("metainfo: parsed, pending, or of another blob") {
  Fixture f;
  f.reply(answer(200, metainfo_json));
  const auto metainfo = test::run(f.loop, f.origin.metainfo("library/ubuntu", digest));
  REQUIRE(metainfo);
  CHECK(metainfo->info_hash().hex() == "9c51c05e23292bbb5b84259161d306d167499a30");
  CHECK(f.http.calls[0] == "GET " + host + "/internal" + ns_blob + "/metainfo");
  f.reply(answer(202));
  CHECK(test::run(f.loop, f.origin.metainfo("x", digest)).error().code == Errc::pending);
  f.reply(answer(200, metainfo_json));
  CHECK(test::run(f.loop, f.origin.metainfo("x", Digest::of("other"))).error().code == Errc::protocol);
  f.reply(answer(200, "{}"));
  CHECK_FALSE(test::run(f.loop, f.origin.metainfo("x", digest)));
}

TEST_CASE("a peer context as captured") {
  Fixture f;
  f.reply(
      answer(200,
             "{\"ip\":\"127.0.0.1\",\"port\":15113,\"peer_id\":[135,36,59,35,143,1,198,93,177,208,193,97,231,"
             "139,80,19,74,41,81,72],\"zone\":\"z1\",\"cluster\":\"c1\",\"origin\":true}\n"));
  const auto context = test::run(f.loop, f.origin.peer_context());
  REQUIRE(context);
  CHECK(context->port == 15113);
  CHECK(context->peer_id == addr_hash_peer_id("127.0.0.1", 15113));
}

TEST_CASE("a blob download has an idle limit only") {
  Fixture f;
  f.reply(answer(200, "hello kraken"));
  test::TextSink sink;
  REQUIRE(test::run(f.loop, f.origin.download("library/ubuntu", digest, sink)));
  CHECK(sink.text == "hello kraken");
  CHECK(f.http.calls[0] == "GET " + host + ns_blob);
  CHECK(f.http.requests[0].total_timeout > 1h);
  CHECK(f.http.requests[0].idle_timeout <= 60s);
}

TEST_CASE("200 and 202 both say that a prefetch goes well") {
  Fixture f;
  for (const int status : {200, 202}) {
    f.reply(answer(status));
    CHECK(test::run(f.loop, f.origin.prefetch("library/ubuntu", digest)));
  }
  CHECK(f.http.calls[0] == "POST " + host + ns_blob + "/prefetch");
  int lost = 1;
  f.http.reply([&lost](const http::ClientRequest&) -> Result<http::ClientResponse> {
    if (lost-- > 0) return fail(Errc::network, "connection lost");
    return answer(202);
  });
  CHECK(test::run(f.loop, f.origin.prefetch("x", digest)));  // the connection was to an earlier life
  lost = 2;
  CHECK(test::run(f.loop, f.origin.prefetch("x", digest)).error().code == Errc::network);
  f.reply(answer(404));
  CHECK(test::run(f.loop, f.origin.prefetch("x", digest)).error().code == Errc::not_found);
  f.reply(answer(503));
  CHECK(test::run(f.loop, f.origin.prefetch("x", digest)).error().http_status == 503);
}

TEST_CASE("only 202 says that a blob is deleted") {
  Fixture f;
  f.reply(answer(202));
  CHECK(test::run(f.loop, f.origin.remove(digest)));
  CHECK(f.http.calls[0] == "DELETE " + host + "/internal" + blob);
  f.reply(answer(200));
  CHECK_FALSE(test::run(f.loop, f.origin.remove(digest)));
  f.reply(answer(404));
  CHECK(test::run(f.loop, f.origin.remove(digest)).error().code == Errc::not_found);
}
