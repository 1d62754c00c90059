#include "krakend/io/random.h"

#include <algorithm>
#include <array>
#include <set>

#include "unit/io/support.h"

namespace krakend::test {
namespace {

TEST_CASE("random: below stays below and reaches everything") {
  const auto random = io::make_system_random();
  std::array<int, 7> seen{};
  for (int i = 0; i < 7000; ++i) ++seen.at(random->below(7));
  for (const int count : seen) CHECK(count > 500);
  CHECK(random->below(1) == 0);
}

/// Gives what it is told.
class ScriptedRandom final : public io::Random {
 public:
  explicit ScriptedRandom(std::vector<uint64_t> values) : values_(std::move(values)) {}
  uint64_t next() override { return values_.at(at_++); }

 private:
  std::vector<uint64_t> values_;
  size_t at_ = 0;
};

TEST_CASE("random: below draws again for what would come up too often") {
  // 2^64 mod 3 = 1: of the values 0 … 2^64-1 one is too many.
  ScriptedRandom random({0, 5});
  CHECK(random.below(3) == 2);
  ScriptedRandom power_of_two({0});
  CHECK(power_of_two.below(4) == 0);
}

TEST_CASE("random: unit is in [0, 1)") {
  ScriptedRandom edges({0, ~uint64_t{0}});
  CHECK(edges.unit() == 0.0);
  const double top = edges.unit();
  CHECK(top < 1.0);
  CHECK(top > 0.999);
}

TEST_CASE("random: uuid4 has its form, and no two are equal") {
  const auto random = io::make_system_random();
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto text = random->uuid4();
    REQUIRE(text.size() == 36);
    for (size_t at = 0; at < text.size(); ++at) {
      const bool dash = at == 8 || at == 13 || at == 18 || at == 23;
      REQUIRE((dash ? text[at] == '-'
                    : std::string_view("0123456789abcdef").find(text[at]) != std::string::npos));
    }
    REQUIRE(text[14] == '4');
    REQUIRE(std::string_view("89ab").find(text[19]) != std::string::npos);
    seen.insert(text);
  }
  CHECK(seen.size() == 1000);
  ScriptedRandom fixed({0x0706050403020100, 0x0f0e0d0c0b0a0908});
  CHECK(fixed.uuid4() == "00010203-0405-4607-8809-0a0b0c0d0e0f");
}

TEST_CASE("random: two sources differ, one seed repeats") {
  CHECK(io::make_system_random()->next() != io::make_system_random()->next());
  SeededRandom one(7);
  SeededRandom other(7);
  std::vector<int> a{1, 2, 3, 4, 5, 6, 7, 8};
  auto b = a;
  one.shuffle(a);
  other.shuffle(b);
  CHECK(a == b);
  std::sort(a.begin(), a.end());
  CHECK(a == std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8});
}

}  // namespace
}  // namespace krakend::test
