// SPDX-License-Identifier: Apache-2.0
// The vocabulary and the golden ids were made by tests/golden/small_bpe/make.py.
#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/data/tokenizer.h"
#include "aot/io/file.h"
#include "aot/io/json.h"
#include "tests/support/files.h"

namespace aot {
namespace {

std::string golden_folder() {
  const char* source = std::getenv("AOT_SOURCE");
  return std::string(source == nullptr ? "." : source) + "/tests/golden/small_bpe";
}

const Tokenizer& small_bpe() {
  static const TokenizerPtr tokenizer = read_gpt2_tokenizer(golden_folder());
  return *tokenizer;
}

double seconds_to_encode(const std::string& text) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const std::clock_t start = std::clock();  // of this process: neighbours do not count
    (void)small_bpe().encode(text);
    best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best;
}

/// Mostly text-like: what the pattern turns on, letters, invalid bytes, and cut characters.
std::string random_bytes(Random& random, size_t length) {
  static const std::vector<std::string> parts = {
      " ", "  ",   "\n",   "\t",   "'",    "'s",       "'ll",      "a",    "the",          "tokens",   "12",          "...",
      "é", "你好", "🙂", "\xff", "\xc3", "\xe4\xbd", "\xf0\x9f", "\x80", "\xed\xa0\x80", "\xc2\x85", "\xe2\x80\xa8"};
  std::string out;
  while (out.size() < length) {
    if (random.below(4) == 0)
      out += static_cast<char>(random.below(256));
    else
      out += parts[random.below(parts.size())];
  }
  return out;
}

TEST(BpeTokenizer, GivesTheIdsOfPythonsTokenizers) {
  const Json cases = parse_json(read_file(golden_folder() + "/ids.json", 1 << 20), "ids.json");
  ASSERT_GT(cases.size(), 150u);  // the last 120 are random strings of Unicode 14
  for (const Json& one : cases) {
    const std::string text = one["text"].get<std::string>();
    EXPECT_EQ(small_bpe().encode(text), one["ids"].get<std::vector<int32_t>>()) << escaped(text);
    EXPECT_EQ(small_bpe().decode(one["ids"].get<std::vector<int32_t>>()), text);
  }
}

TEST(BpeTokenizer, SpelledOutSpecialTokensAreOrdinaryText) {
  const int32_t end = small_bpe().end_of_text();
  ASSERT_GE(end, 0);
  const std::vector<int32_t> ids = small_bpe().encode("a<|endoftext|>b");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), end), 0);
  EXPECT_EQ(small_bpe().decode(ids), "a<|endoftext|>b");
  EXPECT_EQ(small_bpe().bytes_of(end), "");
}

TEST(BpeTokenizer, AnyBytesSurvive) {
  Random random(5);
  for (int i = 0; i < 100'000; ++i) {
    const std::string bytes = random_bytes(random, random.below(40));
    ASSERT_EQ(small_bpe().decode(small_bpe().encode(bytes)), bytes) << escaped(bytes);
  }
}

TEST(BpeTokenizer, CutsAtSafePlacesDoNotChangeTheIds) {
  Random random(6);
  int cuts = 0;
  for (int i = 0; i < 5000; ++i) {
    const std::string text = random_bytes(random, 1 + random.below(60));
    const size_t seen = random.below(text.size() + 1);  // what a reader holds so far
    const size_t cut = small_bpe().safe_cut(std::string_view(text).substr(0, seen));
    if (cut == 0) continue;
    ++cuts;
    std::vector<int32_t> ids = small_bpe().encode(std::string_view(text).substr(0, cut));
    const std::vector<int32_t> rest = small_bpe().encode(std::string_view(text).substr(cut));
    ids.insert(ids.end(), rest.begin(), rest.end());
    ASSERT_EQ(ids, small_bpe().encode(text)) << escaped(text) << " cut at " << cut;
  }
  EXPECT_GT(cuts, 1000);
}

TEST(BpeTokenizer, TokenizerJsonBringsItBack) {
  const TestFolder folder;
  const TokenizerPtr again = read_tokenizer(folder.write("tokenizer.json", small_bpe().to_json()));
  const std::string text = "the tokens of a layer they're 12 🙂";
  EXPECT_EQ(again->kind(), "bpe");
  EXPECT_EQ(again->encode(text), small_bpe().encode(text));
  EXPECT_EQ(again->end_of_text(), small_bpe().end_of_text());
}

TEST(BpeTokenizer, SeveralThreadsGetTheSameIds) {
  Random random(7);
  const std::string text = random_bytes(random, 20'000);
  const std::vector<int32_t> expected = small_bpe().encode(text);
  std::vector<std::vector<int32_t>> got(4);
  std::vector<std::thread> threads;
  for (auto& ids : got) threads.emplace_back([&ids, &text] { ids = small_bpe().encode(text); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& ids : got) EXPECT_EQ(ids, expected);
}

TEST(BpeTokenizer, AdversarialTextTakesNearLinearTime) {
  const std::vector<std::string> units = {"a", " ", "tokens", "'", "en", "é", "\xff", "\n ", "0", "aaaaaab"};
  for (const std::string& unit : units) {
    const auto repeated = [&unit](size_t bytes) {
      std::string text;
      while (text.size() < bytes) text += unit;
      return text;
    };
    const double half = seconds_to_encode(repeated(1 << 19));
    const double whole = seconds_to_encode(repeated(1 << 20));
    EXPECT_LT(whole, 1.0) << escaped(unit);
    // Quadratic time would give 4.
    EXPECT_LT(whole, 2.3 * half + 0.02) << escaped(unit);
  }
}

}  // namespace
}  // namespace aot
