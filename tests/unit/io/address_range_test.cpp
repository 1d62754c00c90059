#include "krakend/io/address_range.h"

#include "support/catch.h"

namespace krakend::io {
namespace {

bool in(std::string_view range, std::string_view host) {
  const auto parsed = AddressRange::parse(range);
  REQUIRE(parsed);
  return parsed->contains(host);
}

TEST_CASE("blocks of addresses") {
  CHECK(in("10.0.0.0/8", "10.255.0.1"));
  CHECK_FALSE(in("10.0.0.0/8", "11.0.0.1"));
  CHECK(in("10.1.2.3", "10.1.2.3"));
  CHECK_FALSE(in("10.1.2.3", "10.1.2.4"));
  CHECK(in("192.168.4.0/22", "192.168.7.255"));
  CHECK_FALSE(in("192.168.4.0/22", "192.168.8.0"));
  CHECK(in("10.0.0.0/8", "::ffff:10.0.0.1"));
  CHECK(in("fd00::/8", "fdff::1"));
  CHECK_FALSE(in("fd00::/8", "fe00::1"));
  CHECK(in("::1", "::1"));
  CHECK(in("0.0.0.0/0", "203.0.113.9"));
  CHECK_FALSE(in("0.0.0.0/0", "2001:db8::1"));
  CHECK(in("::/0", "2001:db8::1"));
  CHECK_FALSE(in("::/0", "proxy.example"));
}

TEST_CASE("what is no block of addresses") {
  for (const char* text :
       {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/8x", "::/129", "proxy.example", "10.0.0/8"}) {
    INFO(text);
    const auto parsed = AddressRange::parse(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().message.find("10.0.0.0/8 or fd00::/8") != std::string::npos);
  }
}

}  // namespace
}  // namespace krakend::io
