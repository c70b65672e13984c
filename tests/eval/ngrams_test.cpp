// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/ngrams.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "aot/core/random.h"
#include "aot/io/error.h"

namespace aot {
namespace {

using Ids = std::vector<int32_t>;

TEST(Ngrams, ByHandOnAShortText) {
  // "ababac" of three letters. Letters: 3, 2, 1 times, so D = 1/3 and p = 1/2, 1/3, 1/6.
  // Pairs ab 2, ba 2, ac 1: D = 1/5. Every letter has one predecessor: q = 1/3 each.
  const Ids train = {0, 1, 0, 1, 0, 2}, validation = {0, 1, 2, 0};
  const NgramScore score = score_ngrams(source_of(train), source_of(validation), 3);
  EXPECT_DOUBLE_EQ(score.unigram_discount, 1 / 3.0);
  EXPECT_DOUBLE_EQ(score.bigram_discount, 0.2);
  EXPECT_EQ(score.tokens, 3);
  EXPECT_EQ(score.train_tokens, 6);
  EXPECT_NEAR(score.unigram, -(std::log(1 / 3.0) + std::log(1 / 6.0) + std::log(1 / 2.0)) / 3, 1e-12);
  const double b_after_a = 1.8 / 3 + 0.2 * 2 / 3 / 3, c_after_b = 0.2 * 1 / 2 / 3, a_after_c = 1 / 3.0;
  EXPECT_NEAR(score.bigram, -(std::log(b_after_a) + std::log(c_after_b) + std::log(a_after_c)) / 3, 1e-12);
}

/// The formulas of the header, written plainly.
struct Plain {
  std::map<int32_t, double> tokens, followed, followers, predecessors;
  std::map<std::pair<int32_t, int32_t>, double> pairs;
  double vocab;

  Plain(const Ids& train, int64_t vocab_size) : vocab(static_cast<double>(vocab_size)) {
    for (size_t i = 0; i < train.size(); ++i) {
      ++tokens[train[i]];
      if (i == 0) continue;
      if (++pairs[{train[i - 1], train[i]}] == 1) {
        ++followers[train[i - 1]];
        ++predecessors[train[i]];
      }
      ++followed[train[i - 1]];
    }
  }
  template <class Map>
  static double discount(const Map& counts) {
    double once = 0, twice = 0;
    for (const auto& [key, count] : counts) {
      once += count == 1;
      twice += count == 2;
    }
    return once == 0 || twice == 0 ? 0.5 : once / (once + 2 * twice);
  }
  double smoothed(std::map<int32_t, double>& counts, int32_t token) const {
    double total = 0;
    for (const auto& [key, count] : counts) total += count;
    const double d = discount(counts), types = static_cast<double>(counts.size());
    const double seen = counts.count(token) != 0 ? counts.at(token) - d : 0;
    return seen / total + d * types / total / vocab;
  }
  double unigram(int32_t b) { return smoothed(tokens, b); }
  double bigram(int32_t a, int32_t b) {
    const double q = smoothed(predecessors, b);
    if (followed.count(a) == 0) return q;
    const double d = discount(pairs), seen = pairs.count({a, b}) != 0 ? pairs.at({a, b}) - d : 0;
    return (seen + d * followers.at(a) * q) / followed.at(a);
  }
};

TEST(Ngrams, ManyIdsTakeSeveralPassesWithTheSameResult) {
  // 20,000 ids do not fit one table of counters. A skewed distribution gives counts of all kinds.
  constexpr int64_t kVocab = 20000;
  Random random(5);
  const auto draw = [&](int64_t n) {
    Ids ids;
    for (int64_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>(std::pow(random.uniform(), 6) * kVocab));
    return ids;
  };
  const Ids train = draw(4000), validation = draw(150);
  Plain plain(train, kVocab);
  double unigram = 0, bigram = 0;
  for (size_t i = 1; i < validation.size(); ++i) {
    unigram -= std::log(plain.unigram(validation[i]));
    bigram -= std::log(plain.bigram(validation[i - 1], validation[i]));
  }
  const NgramScore score = score_ngrams(source_of(train), source_of(validation), kVocab);
  EXPECT_NEAR(score.unigram, unigram / 149, 1e-9);
  EXPECT_NEAR(score.bigram, bigram / 149, 1e-9);
}

TEST(Ngrams, ProbabilitiesSumToOne) {
  Random random(6);
  Ids train;
  for (int i = 0; i < 300; ++i) train.push_back(static_cast<int32_t>(random.below(7)));
  train.push_back(9);  // seen, never followed; ids 7, 8 never seen
  for (int32_t a = 0; a < 10; ++a) {
    double unigrams = 0, bigrams = 0;
    for (int32_t b = 0; b < 10; ++b) {
      const Ids pair = {a, b};
      const NgramScore score = score_ngrams(source_of(train), source_of(pair), 10);
      unigrams += std::exp(-score.unigram);
      bigrams += std::exp(-score.bigram);
    }
    EXPECT_NEAR(unigrams, 1, 1e-9);
    EXPECT_NEAR(bigrams, 1, 1e-9) << "after " << a;
  }
}

TEST(Ngrams, FindTheEntropyOfAChainThatTheyCanDescribe) {
  // A chain over 4 states that goes on by 1 with probability 0.8, else anywhere: its entropy rate is known.
  Random random(7);
  const auto draw = [&](int64_t n) {
    Ids ids = {0};
    while (static_cast<int64_t>(ids.size()) < n)
      ids.push_back(static_cast<int32_t>(random.uniform() < 0.8 ? (ids.back() + 1) % 4 : random.below(4)));
    return ids;
  };
  const Ids train = draw(200000), validation = draw(50000);
  const NgramScore score = score_ngrams(source_of(train), source_of(validation), 4);
  EXPECT_NEAR(score.bigram, -(0.85 * std::log(0.85) + 3 * 0.05 * std::log(0.05)), 0.01);
  EXPECT_NEAR(score.unigram, std::log(4), 0.001);
}

TEST(Ngrams, ASingleTokenIsRefused) {
  const Ids one = {0}, two = {0, 1};
  EXPECT_THROW(score_ngrams(source_of(one), source_of(two), 2), Error);
  EXPECT_THROW(score_ngrams(source_of(two), source_of(one), 2), Error);
}

}  // namespace
}  // namespace aot
