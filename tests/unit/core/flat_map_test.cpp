#include "krakend/core/flat_map.h"

#include <map>
#include <random>
#include <string>

#include "support/catch.h"

namespace krakend {
namespace {

TEST_CASE("a flat map holds what a map holds, in its order", "[core]") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  std::map<int, std::string> model;
  FlatMap<int, std::string> map;
  for (int step = 0; step < 2000; ++step) {
    const int key = static_cast<int>(random() % 60);
    const auto text = std::to_string(step);
    switch (random() % 4) {
      case 0:
        model[key] = text;
        map[key] = text;
        break;
      case 1:
        CHECK(map[key] == model[key]);
        break;
      case 2:
        CHECK(map.erase(key) == model.erase(key));
        break;
      default: {
        const auto found = map.find(key);
        const auto expected = model.find(key);
        REQUIRE((found == map.end()) == (expected == model.end()));
        CHECK(map.contains(key) == model.contains(key));
        if (found == map.end()) break;
        CHECK(found->second == expected->second);
        map.erase(found);
        model.erase(expected);
      }
    }
    REQUIRE(std::equal(map.begin(), map.end(), model.begin(), model.end(), [](const auto& a, const auto& b) {
      return a.first == b.first && a.second == b.second;
    }));
    CHECK(map.size() == model.size());
  }
  map.clear();
  CHECK(map.empty());
}

}  // namespace
}  // namespace krakend
