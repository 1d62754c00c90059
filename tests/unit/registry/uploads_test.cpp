#include <chrono>
#include <filesystem>
#include <string>

#include "harness.h"
#include "support/catch.h"

namespace krakend::registry {
namespace {

const std::string bytes = "0123456789";
const std::string digest = Digest::of(bytes).str();

TEST_CASE("a new session") {
  Harness registry;
  const Answer answer = registry.send("POST", "/v2/lib/a/blobs/uploads/");
  CHECK(answer.status == 202);
  const std::string id = answer.header("Docker-Upload-UUID");
  CHECK_FALSE(id.empty());
  CHECK(answer.header("Location").starts_with("/v2/lib/a/blobs/uploads/" + id + "?_state="));
  CHECK(answer.header("Range") == "0-0");
  CHECK(answer.content_length == 0);
}

TEST_CASE("as skopeo pushes: POST, one PATCH, empty PUT") {
  Harness registry;
  const std::string location = registry.start_upload();
  const Answer patched =
      registry.send("PATCH", location + "?_state=x", bytes, {{"Content-Type", "application/octet-stream"}});
  CHECK(patched.status == 202);
  CHECK(patched.header("Range") == "0-9");
  CHECK(patched.header("Location").starts_with(location + "?_state="));
  const Answer done = registry.send("PUT", location + "?_state=x&digest=sha256%3A" + digest.substr(7));
  CHECK(done.status == 201);
  CHECK(done.header("Location") == "/v2/lib/a/blobs/" + digest);
  CHECK(done.header("Docker-Content-Digest") == digest);
  CHECK(done.content_length == 0);
  CHECK(registry.get("/v2/lib/a/blobs/" + digest).body == bytes);
  // The session is over.
  CHECK(registry.get(location).code() == "BLOB_UPLOAD_UNKNOWN");
}

TEST_CASE("as dockerd pushes: chunked PATCH without Content-Type") {
  Harness registry;
  const std::string location = registry.start_upload();
  Call patch{.method = "PATCH", .target = location, .body = bytes};
  patch.prepare = [](FakeBody& body) { body.chunked(); };
  CHECK(registry.call(patch).header("Range") == "0-9");
  CHECK(registry.send("PUT", location + "?digest=" + digest).status == 201);
}

TEST_CASE("as containerd pushes: the whole body in PUT") {
  Harness registry;
  const std::string location = registry.start_upload();
  CHECK(registry.send("PUT", location + "?_state=x&digest=" + digest, bytes).status == 201);
  CHECK(registry.has_blob(Digest::of(bytes)));
}

TEST_CASE("PATCH and the last bytes in PUT") {
  Harness registry;
  const std::string location = registry.start_upload();
  registry.send("PATCH", location, "01234", {{"Content-Range", "0-4"}});
  registry.send("PATCH", location, "56", {{"Content-Range", "5-6"}});
  CHECK(registry.send("PUT", location + "?digest=" + digest, "789", {{"Content-Range", "7-9"}}).status ==
        201);
}

TEST_CASE("a blob in one POST") {
  Harness registry;
  const Answer answer = registry.send("POST", "/v2/lib/a/blobs/uploads/?digest=" + digest, bytes);
  CHECK(answer.status == 201);
  CHECK(answer.header("Location") == "/v2/lib/a/blobs/" + digest);
  const Answer wrong = registry.send("POST", "/v2/lib/a/blobs/uploads/?digest=" + digest, "other");
  CHECK(wrong.status == 400);
  CHECK(wrong.code() == "DIGEST_INVALID");
  Call cut{.method = "POST", .target = "/v2/lib/a/blobs/uploads/?digest=" + digest, .body = bytes};
  cut.prepare = [](FakeBody& body) { body.breaks(); };
  CHECK(registry.call(cut).status == 400);
  CHECK(registry.send("POST", "/v2/lib/a/blobs/uploads/?digest=sha256:zz", bytes).code() == "DIGEST_INVALID");
  CHECK(registry.uploads_on_disk() == 0);
}

TEST_CASE("mounts, with the parameters in either order and either spelling") {
  Harness registry;
  registry.add_blob(bytes);
  for (const std::string& query : {"from=t%2Fbase&mount=sha256%3A" + digest.substr(7),
                                   "mount=" + digest + "&from=t/base", "mount=" + digest}) {
    INFO(query);
    const Answer answer = registry.send("POST", "/v2/lib/a/blobs/uploads/?" + query);
    CHECK(answer.status == 201);
    CHECK(answer.header("Location") == "/v2/lib/a/blobs/" + digest);
    CHECK(answer.header("Docker-Content-Digest") == digest);
    CHECK(registry.transfer->last_repo == "lib/a");
  }
  CHECK(registry.uploads_on_disk() == 0);
}

TEST_CASE("what cannot be mounted becomes an upload") {
  Harness registry;
  const std::string target = "/v2/lib/a/blobs/uploads/?from=t&mount=";
  CHECK(registry.send("POST", target + digest).status == 202);
  CHECK(registry.send("POST", target + "garbage").status == 202);
  registry.add_blob(bytes);
  registry.transfer->stat_error = Error{Errc::unavailable, "away"};
  CHECK(registry.send("POST", target + digest).status == 202);
}

TEST_CASE("a chunk out of order leaves the session as it was") {
  Harness registry;
  const std::string location = registry.start_upload();
  registry.send("PATCH", location, "01234");
  for (const char* range : {"6-10", "0-4", "4-8"}) {
    INFO(range);
    const Answer answer = registry.send("PATCH", location, "xxxxx", {{"Content-Range", range}});
    CHECK(answer.status == 416);
    CHECK(answer.header("Range") == "0-4");
    CHECK(answer.header("Location").starts_with(location));
    CHECK(answer.code() == "BLOB_UPLOAD_INVALID");
  }
  CHECK(registry.send("PATCH", location, "56789", {{"Content-Range", "5-9"}}).header("Range") == "0-9");
  CHECK(registry.send("PUT", location + "?digest=" + digest).status == 201);
}

TEST_CASE("a Content-Range that does not fit the body") {
  Harness registry;
  const std::string location = registry.start_upload();
  const Answer garbage = registry.send("PATCH", location, "01234", {{"Content-Range", "x"}});
  CHECK(garbage.status == 400);
  CHECK(garbage.code() == "BLOB_UPLOAD_INVALID");
  const Answer longer = registry.send("PATCH", location, "01234", {{"Content-Range", "0-9"}});
  CHECK(longer.status == 400);
  CHECK(longer.code() == "SIZE_INVALID");
  Call chunked{.method = "PATCH", .target = location, .headers = {{"Content-Range", "0-2"}}, .body = "01234"};
  chunked.prepare = [](FakeBody& body) { body.chunked(); };
  CHECK(registry.call(chunked).code() == "SIZE_INVALID");
}

TEST_CASE("a connection that breaks in PATCH leaves what arrived") {
  Harness registry;
  const std::string location = registry.start_upload();
  Call patch{.method = "PATCH", .target = location, .body = "0123"};
  patch.prepare = [](FakeBody& body) { body.breaks(); };
  const Answer broken = registry.call(patch);
  CHECK(broken.status == 400);
  CHECK(broken.close);
  const Answer status = registry.get(location);
  CHECK(status.status == 204);
  CHECK(status.header("Range") == "0-3");
  CHECK(registry.send("PATCH", location, "456789", {{"Content-Range", "4-9"}}).status == 202);
  CHECK(registry.send("PUT", location + "?digest=" + digest).status == 201);
}

TEST_CASE("status and deletion of a session") {
  Harness registry;
  const std::string location = registry.start_upload();
  const Answer status = registry.get(location + "?_state=x");
  CHECK(status.status == 204);
  CHECK(status.header("Range") == "0-0");
  CHECK(status.header("Docker-Upload-UUID") == location.substr(location.rfind('/') + 1));
  CHECK(status.headers.has("Location"));
  CHECK_FALSE(status.content_length);
  CHECK(registry.head(location).status == 204);
  const Answer deleted = registry.send("DELETE", location);
  CHECK(deleted.status == 204);
  CHECK(registry.uploads_on_disk() == 0);
  CHECK(registry.send("DELETE", location).status == 404);
}

TEST_CASE("a digest that does not match ends the session and keeps nothing") {
  Harness registry;
  const std::string location = registry.start_upload();
  const std::string other = Digest::of("other").str();
  const Answer answer = registry.send("PUT", location + "?digest=" + other, bytes);
  CHECK(answer.status == 400);
  CHECK(answer.code() == "DIGEST_INVALID");
  CHECK(answer.body.find(other) != std::string::npos);
  CHECK(registry.get(location).code() == "BLOB_UPLOAD_UNKNOWN");
  CHECK(registry.uploads_on_disk() == 0);
  CHECK_FALSE(registry.has_blob(Digest::of("other")));
  CHECK_FALSE(registry.has_blob(Digest::of(bytes)));
}

TEST_CASE("a digest that is missing or no digest can be corrected") {
  Harness registry;
  const std::string location = registry.start_upload();
  registry.send("PATCH", location, bytes);
  for (const char* query : {"", "?digest=", "?digest=sha256:zz", "?digest=md5:00"}) {
    INFO(query);
    const Answer answer = registry.send("PUT", location + query);
    CHECK(answer.status == 400);
    CHECK(answer.code() == "DIGEST_INVALID");
  }
  CHECK(registry.send("PUT", location + "?digest=" + digest).status == 201);
}

TEST_CASE("unknown sessions and those of another repository") {
  Harness registry;
  const std::string location = registry.start_upload("lib/a");
  const std::string foreign = "/v2/lib/b" + location.substr(location.find("/blobs/"));
  for (const std::string& target : {std::string("/v2/lib/a/blobs/uploads/none"), foreign}) {
    for (const char* method : {"GET", "PATCH", "PUT", "DELETE"}) {
      INFO(method << " " << target);
      const Answer answer = registry.send(method, target + "?digest=" + digest, bytes);
      CHECK(answer.status == 404);
      CHECK(answer.code() == "BLOB_UPLOAD_UNKNOWN");
    }
  }
  CHECK(registry.get(location).status == 204);
}

TEST_CASE("two requests on one session at once") {
  Harness registry;
  const std::string location = registry.start_upload();
  io::Condition gate(registry.loop);
  Call slow{.method = "PATCH", .target = location, .body = bytes};
  slow.prepare = [&](FakeBody& body) { body.hold(gate); };
  const auto first = registry.start(slow);
  const Answer second = registry.send("PATCH", location, "xx");
  CHECK(second.status == 409);
  CHECK(registry.send("DELETE", location).status == 409);
  CHECK(registry.send("PUT", location + "?digest=" + digest).status == 409);
  CHECK_FALSE(first->has_value());
  gate.notify_all();
  registry.poll_until([&] { return first->has_value(); });
  CHECK((*first)->header("Range") == "0-9");
  CHECK(registry.send("PUT", location + "?digest=" + digest).status == 201);
}

TEST_CASE("a blob over the limit") {
  Harness registry({.upload_size_max = 8});
  const std::string location = registry.start_upload();
  CHECK(registry.send("PATCH", location, "01234").status == 202);
  const Answer answer = registry.send("PATCH", location, "56789");
  CHECK(answer.status == 413);
  CHECK(answer.code() == "SIZE_INVALID");
  CHECK(registry.get(location).status == 404);
  CHECK(registry.uploads_on_disk() == 0);
}

TEST_CASE("failures of the store") {
  Harness registry;
  registry.transfer->create_error = Error{Errc::no_space, "no space left in /uploads"};
  const Answer full = registry.send("POST", "/v2/lib/a/blobs/uploads/");
  CHECK(full.status == 500);
  CHECK(full.message() == "no space left in /uploads");
  registry.transfer->create_error.reset();
  const std::string location = registry.start_upload();
  registry.transfer->put_error = Error{Errc::network, "no origin answers"};
  const Answer away = registry.send("PUT", location + "?digest=" + digest, bytes);
  CHECK(away.status == 503);
  CHECK(registry.get(location).status == 404);
  CHECK(registry.uploads_on_disk() == 0);
}

TEST_CASE("a full table drops the session that has been idle longest") {
  Harness registry({.upload_sessions_max = 2});
  const std::string first = registry.start_upload();
  const std::string second = registry.start_upload();
  registry.send("PATCH", first, "0");
  const std::string third = registry.start_upload();
  CHECK(registry.get(second).status == 404);
  CHECK(registry.get(first).status == 204);
  CHECK(registry.get(third).status == 204);
  CHECK(registry.uploads_on_disk() == 2);
}

TEST_CASE("a full table of busy sessions takes no more") {
  Harness registry({.upload_sessions_max = 1});
  io::Condition gate(registry.loop);
  Call slow{.method = "PATCH", .target = registry.start_upload(), .body = bytes};
  slow.prepare = [&](FakeBody& body) { body.hold(gate); };
  const auto running = registry.start(slow);
  const Answer refused = registry.send("POST", "/v2/lib/a/blobs/uploads/");
  CHECK(refused.status == 503);
  CHECK(refused.headers.has("Retry-After"));
  gate.notify_all();
  registry.poll_until([&] { return running->has_value(); });
  CHECK((*running)->status == 202);
}

TEST_CASE("sessions that have been idle for the time they have are dropped") {
  Harness registry({.upload_ttl = 8h});
  const std::string idle = registry.start_upload();
  const std::string used = registry.start_upload();
  registry.sweep(1h);
  registry.sweep(7h);
  CHECK(registry.uploads_on_disk() == 2);
  registry.send("PATCH", used, "0");
  registry.sweep(1h);
  CHECK(registry.uploads_on_disk() == 1);
  CHECK(registry.get(idle).status == 404);
  CHECK(registry.get(used).status == 204);
}

TEST_CASE("uploads go on after a restart") {
  Harness registry;
  const std::string location = registry.start_upload("lib/a");
  registry.send("PATCH", location, "0123456");
  registry.restart();
  const Answer status = registry.get(location);
  CHECK(status.status == 204);
  CHECK(status.header("Range") == "0-6");
  CHECK(registry.get("/v2/lib/b" + location.substr(location.find("/blobs/"))).status == 404);
  CHECK(registry.send("PATCH", location, "9", {{"Content-Range", "9-9"}}).status == 416);
  CHECK(registry.send("PATCH", location, "789", {{"Content-Range", "7-9"}}).header("Range") == "0-9");
  CHECK(registry.send("PUT", location + "?digest=" + digest).status == 201);
  CHECK(registry.get("/v2/lib/a/blobs/" + digest).body == bytes);
  CHECK(registry.uploads_on_disk() == 0);
  registry.restart();
  CHECK(registry.get(location).status == 404);
}

TEST_CASE("a restart does not make an idle upload young again") {
  Harness registry({.upload_ttl = 8h});
  const std::string location = registry.start_upload();
  const std::string id = location.substr(location.rfind('/') + 1);
  registry.clock.advance(7h);
  std::filesystem::last_write_time(registry.directory / "upload" + "/" + id + "/data",
                                   std::chrono::file_clock::from_sys(registry.clock.wall() - 7h));
  registry.restart();
  registry.sweep(59min);
  CHECK(registry.get(location).status == 204);
  registry.restart();
  std::filesystem::last_write_time(registry.directory / "upload" + "/" + id + "/data",
                                   std::chrono::file_clock::from_sys(registry.clock.wall() - 7h));
  registry.restart();
  registry.sweep(1h);
  CHECK(registry.get(location).status == 404);
  CHECK(registry.uploads_on_disk() == 0);
}

}  // namespace
}  // namespace krakend::registry
