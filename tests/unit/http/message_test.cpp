#include "http/chunked.h"
#include "http/response_head.h"
#include "stage.h"

namespace krakend::http::test {
namespace {

class Text final : public io::ByteSink {
 public:
  Result<void> write(std::span<const std::byte> data) override {
    text += as_text(data);
    return {};
  }
  std::string text;
};

}  // namespace

TEST_CASE("headers compare names without case and keep the order") {
  Headers headers{{"Accept", "a"}, {"X", "1"}, {"ACCEPT", "b, c"}};
  CHECK(headers.get("accept") == "a");
  CHECK(headers.joined("Accept") == "a, b, c");
  CHECK(headers.has("x"));
  CHECK_FALSE(headers.has("y"));
  CHECK(headers.get("y").empty());
  headers.set("accept", "z");
  CHECK(headers.joined("Accept") == "z");
  CHECK(headers.fields().front().first == "X");
}

TEST_CASE("query parameters are decoded; the first of a name counts") {
  Request request;
  request.query = "digest=sha256%3Aab&x=a+b%2Bc&x=2&flag&&e=&%61=1&bad=%zz";
  CHECK(request.query_param("digest") == "sha256:ab");
  CHECK(request.query_param("x") == "a b+c");
  CHECK(request.query_param("flag") == "");
  CHECK(request.query_param("e") == "");
  CHECK(request.query_param("a") == "1");
  CHECK_FALSE(request.query_param("bad"));
  CHECK_FALSE(request.query_param("absent"));
}

TEST_CASE("errors become a status and plain text (contract http-api §1.5)") {
  const std::pair<Errc, int> table[] = {
      {Errc::not_found, 404}, {Errc::invalid_argument, 400}, {Errc::already_exists, 409},
      {Errc::conflict, 409},  {Errc::pending, 202},          {Errc::unavailable, 503},
      {Errc::too_large, 413}, {Errc::timeout, 504},          {Errc::no_space, 500},
      {Errc::io, 500},        {Errc::network, 500},          {Errc::protocol, 500},
      {Errc::corrupt, 500},   {Errc::cancelled, 500},        {Errc::internal, 500},
  };
  for (const auto& [code, status] : table) {
    INFO(to_string(code));
    CHECK(status_for(Error{code, "x"}) == status);
    CHECK(status_for(Error{code, "x", 418}) == 418);
  }
  const auto response = error_response(Error{Errc::not_found, "no such blob"});
  CHECK(response.status == 404);
  CHECK(std::get<std::string>(response.body) == "no such blob\n");
  CHECK_FALSE(text_response(200).headers.has("Content-Type"));
  CHECK(json_response(200, "{}").headers.get("Content-Type") == "application/json");
}

TEST_CASE("chunked bodies end where they say") {
  Text out;
  ChunkDecoder decoder(out, 100);
  REQUIRE(decoder.write(as_bytes("A\r\n0123456789\r\n0\r\nT: x\r\n\r\nGET / HTTP/1.1")));
  CHECK(decoder.done());
  CHECK(decoder.decoded() == 10);
  CHECK(out.text == "0123456789");
  CHECK(decoder.surplus() == "GET / HTTP/1.1");
}

TEST_CASE("chunked bodies have limits") {
  Text out;
  SECTION("decoded bytes") {
    ChunkDecoder decoder(out, 4);
    CHECK(decoder.write(as_bytes("4\r\nabcd\r\n")));
    CHECK(decoder.write(as_bytes("1\r\ne")).error().code == Errc::too_large);
  }
  SECTION("a size line") {
    ChunkDecoder decoder(out, 4);
    CHECK(decoder.write(as_bytes("4;" + std::string(ChunkDecoder::max_line - 2, 'x'))));
    CHECK_FALSE(decoder.write(as_bytes("xx")));
  }
  SECTION("trailers") {
    ChunkDecoder decoder(out, 4);
    CHECK(decoder.write(as_bytes("0\r\n")));
    const auto line = "T: " + std::string(4000, 'x') + "\r\n";
    size_t lines = 0;
    while (lines < 100 && decoder.write(as_bytes(line))) ++lines;
    CHECK(lines == ChunkDecoder::max_trailers / (line.size() - 2));
  }
  SECTION("bytes sent ahead") {
    ChunkDecoder decoder(out, 4);
    CHECK(decoder.write(as_bytes("0\r\n\r\n" + std::string(ChunkDecoder::max_surplus, 'x'))));
    CHECK_FALSE(decoder.write(as_bytes("x")));
  }
}

TEST_CASE("a 304 announces a length only when the handler knows it") {
  Response response = text_response(304);
  CHECK(format_head(response, true) == "HTTP/1.1 304 Not Modified\r\nConnection: keep-alive\r\n\r\n");
  response.content_length = 5;
  CHECK(format_head(response, false) ==
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
}

}  // namespace krakend::http::test
