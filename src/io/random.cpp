#include "krakend/io/random.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <memory>

#include "krakend/core/hex.h"
#include "krakend/io/system.h"

namespace krakend::io {

uint64_t Random::below(uint64_t bound) {
  // Values of the incomplete last run of `bound` would come up too often: draw again.
  const uint64_t reject = (uint64_t{0} - bound) % bound;
  uint64_t value = next();
  while (value < reject) value = next();
  return value % bound;
}

double Random::unit() {
  return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

void Random::fill(std::span<uint8_t> out) {
  uint64_t value = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    if (i % 8 == 0) value = next();
    out[i] = static_cast<uint8_t>(value >> (8 * (i % 8)));
  }
}

std::string Random::uuid4() {
  std::array<uint8_t, 16> bytes;
  fill(bytes);
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3F) | 0x80);
  const auto hex = to_hex(bytes);
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                     hex.substr(16, 4), hex.substr(20));
}

namespace {

/// xoshiro256**, seeded by the kernel. Good enough for choices and unguessable enough for upload ids of one
/// process.
class SystemRandom final : public Random {
 public:
  SystemRandom() {
    if (getrandom(state_.data(), sizeof state_, 0) != static_cast<ssize_t>(sizeof state_)) std::abort();
  }
  uint64_t next() override {
    const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

 private:
  std::array<uint64_t, 4> state_;
};

}  // namespace

std::unique_ptr<Random> make_system_random() {
  return std::make_unique<SystemRandom>();
}

}  // namespace krakend::io
