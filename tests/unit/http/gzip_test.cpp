#include "http/gzip.h"

#include <zlib.h>

#include "server_stage.h"

namespace krakend::http::test {
namespace {

std::string unpacked(const std::string& packed, size_t size) {
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
  std::string text(size + 1, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  text.resize(stream.total_out);
  inflateEnd(&stream);
  return text;
}

const std::string document = R"({"tags":[)" + std::string(5000, ' ') + "]}";

Task<Response> say_json(Request& request) {
  auto response = json_response(request.path == "/created" ? 201 : 200, document);
  if (request.path == "/small") response.body = "{}";
  if (request.path == "/manifest")
    response.headers.set("Content-Type", "application/vnd.oci.image.manifest.v1+json");
  co_return response;
}

struct GzipStage : ServerStage {
  explicit GzipStage(bool compress = true)
      : ServerStage([](Stage& at) { return make_server(at.loop, *at.clock, *at.net, Logger()); }) {
    options.compress = compress;
    serve(say_json);
  }
  bool packs(std::string_view path, std::string_view fields) {
    const auto response = ask(get(path, fields));
    CHECK(response.status != 0);
    return response.headers.get("Content-Encoding") == "gzip";
  }
};

}  // namespace

TEST_CASE("gzip: what comes out is what went in") {
  GzipStage stage;
  const auto response = stage.ask(get("/", "Accept-Encoding: gzip\r\n"));
  CHECK(response.headers.get("Content-Encoding") == "gzip");
  CHECK(response.headers.get("Vary") == "Accept-Encoding");
  CHECK(response.body.size() < 200);
  CHECK(unpacked(response.body, document.size()) == document);
}

TEST_CASE("gzip: only for who takes it, and only what is text of some size") {
  GzipStage stage;
  CHECK(stage.packs("/", "Accept-Encoding: deflate, gzip;q=0.5\r\n"));
  CHECK(stage.packs("/", "Accept-Encoding: *\r\n"));
  CHECK_FALSE(stage.packs("/", ""));
  CHECK_FALSE(stage.packs("/", "Accept-Encoding: br\r\n"));
  CHECK_FALSE(stage.packs("/", "Accept-Encoding: gzip;q=0\r\n"));
  CHECK_FALSE(stage.packs("/", "Accept-Encoding: gzip\r\nVia: 1.1 proxy\r\n"));
  CHECK_FALSE(stage.packs("/small", "Accept-Encoding: gzip\r\n"));
  CHECK_FALSE(stage.packs("/manifest", "Accept-Encoding: gzip\r\n"));
  CHECK_FALSE(stage.packs("/created", "Accept-Encoding: gzip\r\n"));
}

TEST_CASE("gzip: not where the listener does not") {
  GzipStage stage(false);
  CHECK_FALSE(stage.packs("/", "Accept-Encoding: gzip\r\n"));
}

}  // namespace krakend::http::test
