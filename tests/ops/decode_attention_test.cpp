// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/decode_attention.h"

#include <cmath>
#include <thread>

#include <ATen/ops/matmul.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "tests/support/tensors.h"

namespace aot {
namespace {

constexpr int64_t kBatch = 2, kHeads = 3, kRoom = 70;

struct Cache {
  at::Tensor q, keys, values;
};

/// Rows past `tokens` are NaN: whoever reads them is caught.
Cache make_cache(int64_t tokens, int64_t dim, double size = 1) {
  Cache c{.q = test::normal({kBatch, kHeads, dim}, 1, at::kFloat) * size,
          .keys = test::normal({kBatch, kHeads, kRoom, dim}, 2, at::kFloat) * size,
          .values = test::normal({kBatch, kHeads, kRoom, dim}, 3, at::kFloat)};
  for (at::Tensor* tensor : {&c.keys, &c.values}) tensor->narrow(2, tokens, kRoom - tokens).fill_(std::nanf(""));
  return c;
}

/// From the definition, in float64: the query stands at the last position, every key at its own.
at::Tensor plain(const Cache& c, int64_t tokens, double scale, const RotaryTable* rotary) {
  at::Tensor q = c.q.to(at::kDouble).unsqueeze(2), k = c.keys.narrow(2, 0, tokens).to(at::kDouble);
  if (rotary != nullptr) {
    q = rotate(q, *rotary, tokens - 1);
    k = rotate(k, *rotary);
  }
  const at::Tensor weights = (at::matmul(q, k.transpose(-1, -2)) * scale).softmax(-1);
  return at::matmul(weights, c.values.narrow(2, 0, tokens).to(at::kDouble)).squeeze(2);
}

TEST(DecodeAttention, IsThePlainFormForEveryNumberOfTokens) {
  for (const int64_t dim : {1, 5, 8, 33, 64})
    for (int64_t tokens = 1; tokens <= kRoom; tokens += tokens < 18 ? 1 : 13) {
      const Cache c = make_cache(tokens, dim);
      EXPECT_LT(test::max_difference(decode_attention(c.q, c.keys, c.values, tokens, 0.3, nullptr), plain(c, tokens, 0.3, nullptr)), 2e-5)
          << "P " << dim << ", " << tokens << " tokens";
      Cache one = c;
      one.values = one.keys;  // subspace attention
      EXPECT_LT(test::max_difference(decode_attention(one.q, one.keys, one.keys, tokens, 0.3, nullptr), plain(one, tokens, 0.3, nullptr)),
                2e-5);
    }
}

TEST(DecodeAttention, TurnsTheQueryTowardsUnturnedKeys) {
  for (const int64_t dim : {2, 8, 34}) {
    const RotaryTable rotary(kRoom, dim);
    for (int64_t tokens = 1; tokens <= kRoom; tokens += tokens < 18 ? 1 : 13) {
      const Cache c = make_cache(tokens, dim);
      EXPECT_LT(test::max_difference(decode_attention(c.q, c.keys, c.values, tokens, 0.3, &rotary), plain(c, tokens, 0.3, &rotary)), 2e-5)
          << "P " << dim << ", " << tokens << " tokens";
    }
  }
}

TEST(DecodeAttention, OtherTypesAndStridesTakeTheOperatorsWithTheSameResult) {
  const RotaryTable rotary(kRoom, 8);
  const Cache c = make_cache(40, 8);
  for (const RotaryTable* positions : {static_cast<const RotaryTable*>(nullptr), &rotary}) {
    const at::Tensor wanted = plain(c, 40, 0.3, positions);
    const auto strided = [](const at::Tensor& t) { return t.transpose(1, 2).contiguous().transpose(1, 2); };
    EXPECT_LT(test::max_difference(decode_attention(c.q, strided(c.keys), strided(c.values), 40, 0.3, positions), wanted), 2e-5);
    EXPECT_LT(test::max_difference(decode_attention(c.q.transpose(0, 1).contiguous().transpose(0, 1), c.keys, c.values, 40, 0.3, positions),
                                   wanted),
              2e-5);
    for (const at::ScalarType dtype : {at::kDouble, at::kBFloat16}) {
      const at::Tensor y = decode_attention(c.q.to(dtype), c.keys.to(dtype), c.values.to(dtype), 40, 0.3, positions);
      EXPECT_EQ(y.scalar_type(), dtype);
      EXPECT_LT(test::max_difference(y, wanted), test::tolerance(dtype) * (positions == nullptr ? 1 : 2));
    }
  }
}

TEST(DecodeAttention, HoldsForExtremeNorms) {
  for (const double size : {0.0, 1e-20, 1e-3, 30.0, 1e3, 1e15}) {
    const Cache c = make_cache(50, 8, size);
    const at::Tensor y = decode_attention(c.q, c.keys, c.values, 50, 0.3, nullptr);
    EXPECT_TRUE(y.isfinite().all().item<bool>()) << size;
    // Scores beyond 1e4 are rounded by more than 1e-3, so that only their winner is compared, which stands far apart from the others.
    EXPECT_LT(test::max_difference(y, plain(c, 50, 0.3, nullptr)), size > 1 ? 2e-3 : 2e-5) << size;
  }
}

TEST(DecodeAttention, BitsDoNotDependOnTheThreads) {
  const at::Tensor q = test::normal({1, 16, 64}, 1, at::kFloat), keys = test::normal({1, 16, 2048, 64}, 2, at::kFloat);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = decode_attention(q, keys, keys, 2048, 0.125, nullptr);
  at::set_num_threads(2);
  const at::Tensor two = decode_attention(q, keys, keys, 2048, 0.125, nullptr);
  at::set_num_threads(before);
  EXPECT_TRUE(one.equal(two));
}

TEST(DecodeAttention, ServesTwoThreadsAtOnce) {
  const Cache c = make_cache(kRoom, 8);
  const RotaryTable rotary(kRoom, 8);
  const at::Tensor wanted = decode_attention(c.q, c.keys, c.values, kRoom, 0.3, &rotary);
  std::vector<int> wrong(2);
  std::vector<std::thread> threads;
  for (int& count : wrong)
    threads.emplace_back([&count, &c, &rotary, &wanted] {
      for (int i = 0; i < 200; ++i) count += decode_attention(c.q, c.keys, c.values, kRoom, 0.3, &rotary).equal(wanted) ? 0 : 1;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, (std::vector<int>{0, 0}));
}

TEST(DecodeAttention, RefusesWhatItsLoopWouldReadPast) {
  const Cache c = make_cache(kRoom, 8);
  const RotaryTable wrong(kRoom, 6), brief(10, 8);
  for (const int64_t tokens : {int64_t{-1}, int64_t{0}, kRoom + 1})
    EXPECT_THROW(decode_attention(c.q, c.keys, c.values, tokens, 1, nullptr), c10::ValueError) << tokens;
  EXPECT_THROW(decode_attention(c.q.narrow(2, 0, 7), c.keys, c.values, 5, 1, nullptr), c10::ValueError);
  EXPECT_THROW(decode_attention(c.q, c.keys, c.values.narrow(2, 0, 9), 5, 1, nullptr), c10::ValueError);
  EXPECT_THROW(decode_attention(c.q.narrow(1, 0, 2), c.keys, c.values, 5, 1, nullptr), c10::ValueError);
  EXPECT_THROW(decode_attention(c.q, c.keys, c.values, 5, 1, &wrong), c10::ValueError);
  EXPECT_ANY_THROW(decode_attention(c.q, c.keys, c.values, 11, 1, &brief));
}

}  // namespace
}  // namespace aot
