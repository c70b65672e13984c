// SPDX-License-Identifier: Apache-2.0
#include "aot/core/random.h"

#include <cmath>
#include <numbers>
#include <random>

#include <ATen/CPUGeneratorImpl.h>

namespace aot {
namespace {

uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio: SplitMix64's increment

}  // namespace

uint64_t derive_seed(uint64_t seed, std::string_view purpose, uint64_t index) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a of the purpose
  for (const char c : purpose) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return mixed(mixed(mixed(seed + kGolden) ^ hash) + kGolden * (index + 1));
}

uint64_t Random::next() {
  return mixed(state_ += kGolden);
}

double Random::uniform() {
  return static_cast<double>(next() >> 11) * 0x1p-53;
}

uint64_t Random::below(uint64_t bound) {
  const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  uint64_t drawn = next();
  while (drawn >= limit) drawn = next();
  return drawn % bound;
}

double Random::normal() {
  const double radius = std::sqrt(-2 * std::log1p(-uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

uint64_t fresh_seed() {
  return std::random_device{}() & 0x7fffffff;
}

at::Generator make_generator(uint64_t seed) {
  return at::make_generator<at::CPUGeneratorImpl>(seed);
}

}  // namespace aot
