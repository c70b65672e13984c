// SPDX-License-Identifier: Apache-2.0
// Randomness as a function of (seed, purpose, index): no stream is shared, so none has to be replayed to resume a run.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace at {
struct Generator;
}

namespace aot {

/// The seed of one purpose's generator, e.g. derive_seed(run_seed, "dropout", step). Distinct inputs give independent seeds.
uint64_t derive_seed(uint64_t seed, std::string_view purpose, uint64_t index = 0);

/// A small counter-based generator (SplitMix64: Steele, Lea, Flood 2014). Copyable; its whole state is one integer.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next();
  /// Uniform in [0, 1), 53 bits.
  double uniform();
  /// Uniform in [0, bound), without modulo bias. REQUIRES: bound > 0.
  uint64_t below(uint64_t bound);
  /// N(0, 1), from two uniform numbers.   [Box and Muller 1958]
  double normal();

 private:
  uint64_t state_;
};

/// Puts `items` into a random order.   [Fisher and Yates]
template <class T>
void shuffle(std::vector<T>& items, Random& random) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

/// A seed from the operating system, for runs that give none. The caller prints it.
uint64_t fresh_seed();

/// A LibTorch CPU generator that starts at `seed`.
at::Generator make_generator(uint64_t seed);

}  // namespace aot
