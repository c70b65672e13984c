// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/attention.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "aot/io/error.h"
#include "tests/support/tensors.h"

namespace aot {
namespace {

constexpr int64_t kBatch = 2, kHeads = 3;

/// Heads (B, K, T, P) as they come from a projection: a view with strides of (B, T, K, P).
at::Tensor heads(int64_t tokens, int64_t dim, uint64_t seed, at::ScalarType dtype = at::kDouble) {
  return test::normal({kBatch, tokens, kHeads, dim}, seed, dtype).transpose(1, 2).requires_grad_();
}

/// The second row of the batch padded on the left by a third and, in the last token, on the right.
at::Tensor padding(int64_t tokens) {
  at::Tensor real = at::ones({kBatch, tokens}, at::kBool);
  real[1].narrow(0, 0, (tokens + 2) / 3).fill_(false);
  real[1][tokens - 1].fill_(false);
  return real;
}

/// Who may read whom at random, for all, by head or by sequence and head; some rows may read nothing.
at::Tensor random_mask(at::IntArrayRef shape) {
  return test::normal(shape, 8).gt(0.3);
}

struct Use {
  int64_t tokens = 0, dim = 0;
  AttentionOptions options;
  std::string name;
};

std::vector<Use> uses() {
  std::vector<Use> out;
  for (const int64_t tokens : {1, 7, 63, 65})
    for (const int64_t dim : {5, 8})
      for (const bool causal : {true, false})
        for (const bool masked : {false, true}) {
          Use use;
          use.tokens = tokens;
          use.dim = dim;
          use.name = str("T ", tokens, " P ", dim, causal ? " causal" : "", masked ? " masked" : "");
          use.options.causal = causal;
          if (masked) use.options.key_mask = padding(tokens);
          out.push_back(std::move(use));
        }
  for (const int64_t tokens : {1, 7, 65})
    for (const std::vector<int64_t>& batch : std::vector<std::vector<int64_t>>{{}, {1, 1}, {1, kHeads}, {kBatch, 1}, {kBatch, kHeads}})
      for (const bool both : {true, false}) {
        std::vector<int64_t> shape = batch;
        shape.insert(shape.end(), {tokens, tokens});
        Use use{.tokens = tokens, .dim = 16, .options = {.causal = both, .mask = random_mask(shape)}, .name = {}};
        use.name = str("T ", tokens, " mask of rank ", shape.size(), both ? ", causal and padded" : "");
        if (both) use.options.key_mask = padding(tokens);
        out.push_back(std::move(use));
      }
  return out;
}

/// Largest difference of outputs and gradients between `fast` and `plain`, both functions of `inputs`.
template <class Fast, class Plain>
double difference(const Fast& fast, const Plain& plain, const std::vector<at::Tensor>& inputs) {
  const at::Tensor y = fast(), wanted = plain(), g = test::normal(wanted.sizes(), 9, wanted.scalar_type());
  double largest = test::max_difference(y, wanted);
  const auto ours = test::gradients(y, g, inputs), theirs = test::gradients(wanted, g, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) largest = std::max(largest, test::max_difference(ours[i], theirs[i]));
  return largest;
}

TEST(Attention, IsThePlainFormWithItsGradients) {
  for (const Use& use : uses())
    for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
      const at::Tensor q = heads(use.tokens, use.dim, 1, dtype), k = heads(use.tokens, use.dim, 2, dtype),
                       v = heads(use.tokens, use.dim, 3, dtype);
      EXPECT_LT(
          difference([&] { return attention(q, k, v, use.options); }, [&] { return attention_reference(q, k, v, use.options); }, {q, k, v}),
          test::tolerance(dtype))
          << use.name << ' ' << dtype;
    }
}

TEST(SubspaceAttention, IsThePlainFormWithOneTensorInAllRoles) {
  for (const Use& use : uses())
    for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
      const at::Tensor a = heads(use.tokens, use.dim, 1, dtype);
      EXPECT_LT(difference([&] { return subspace_attention(a, nullptr, use.options); },
                           [&] { return attention_reference(a, a, a, use.options); }, {a}),
                5 * test::tolerance(dtype))
          << use.name << ' ' << dtype;
      if (use.dim % 2 != 0) continue;
      const RotaryTable rotary(use.tokens, use.dim);
      const auto plain = [&] {
        const at::Tensor turned = rotate(a, rotary);
        return attention_reference(turned, turned, a, use.options);
      };
      EXPECT_LT(difference([&] { return subspace_attention(a, &rotary, use.options); }, plain, {a}), 5 * test::tolerance(dtype))
          << use.name << ' ' << dtype;
    }
}

TEST(Attention, InBfloat16IsAtMostTwiceAsFarFromFloat32AsThePlainForm) {
  for (const Use& use : uses()) {
    const at::Tensor q = heads(use.tokens, use.dim, 1, at::kBFloat16), k = heads(use.tokens, use.dim, 2, at::kBFloat16),
                     v = heads(use.tokens, use.dim, 3, at::kBFloat16);
    const at::Tensor truth = attention_reference(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat), use.options);
    const double plain = test::max_difference(attention_reference(q, k, v, use.options), truth);
    EXPECT_LE(test::max_difference(attention(q, k, v, use.options), truth), 2 * plain) << use.name;
    const at::Tensor own = attention_reference(q.to(at::kFloat), q.to(at::kFloat), q.to(at::kFloat), use.options);
    EXPECT_LE(test::max_difference(subspace_attention(q, nullptr, use.options), own),
              2 * test::max_difference(attention_reference(q, q, q, use.options), own))
        << use.name;
  }
}

TEST(Attention, AMaskThatSaysWhatCausalityOrPaddingSaysGivesTheSame) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    const at::Tensor a = heads(7, 16, 1, dtype), triangle = at::ones({7, 7}, at::kBool).tril(), real = padding(7);
    EXPECT_LT(test::max_difference(subspace_attention(a, nullptr, {.causal = false, .mask = triangle}),
                                   subspace_attention(a, nullptr, {.causal = true})),
              test::tolerance(dtype));
    EXPECT_LT(test::max_difference(attention(a, a, a, {.causal = false, .mask = real.view({kBatch, 1, 1, 7}).expand({-1, -1, 7, -1})}),
                                   attention(a, a, a, {.causal = false, .key_mask = real})),
              test::tolerance(dtype));
  }
}

TEST(Attention, ARowThatMayReadNothingIsZeroAndHasNoNaNInItsGradients) {
  at::Tensor real = at::ones({kBatch, 7}, at::kBool);
  real[0].fill_(false);                  // nothing at all
  real[1].narrow(0, 0, 3).fill_(false);  // causal rows 0 .. 2 see only padding
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kBFloat16})
    for (const bool causal : {true, false}) {
      const AttentionOptions options{.causal = causal, .key_mask = real};
      const at::Tensor q = heads(7, 5, 1, dtype), k = heads(7, 5, 2, dtype), v = heads(7, 5, 3, dtype);
      for (const at::Tensor& y :
           {attention(q, k, v, options), subspace_attention(q, nullptr, options), attention_reference(q, k, v, options)}) {
        EXPECT_EQ(y[0].abs().max().item<double>(), 0);
        if (causal) {
          EXPECT_EQ(y[1].narrow(1, 0, 3).abs().max().item<double>(), 0);
        }
        EXPECT_GT(y[1].narrow(1, 3, 4).abs().min().item<double>(), 0);
        for (const at::Tensor& gradient : test::gradients(y, test::normal(y.sizes(), 4), {q, k, v})) {
          EXPECT_TRUE(gradient.isfinite().all().item<bool>());
          EXPECT_EQ(gradient[0].abs().max().item<double>(), 0);
        }
      }
    }
}

TEST(Attention, WeightsAreRowsOfProbabilitiesAndTheFirstCausalRowReadsItself) {
  const at::Tensor a = heads(9, 5, 1);
  at::Tensor weights;
  Taps taps;
  taps.listen("weights", [&weights](const std::string&, const at::Tensor& value) { return weights = value; });
  const at::Tensor y = subspace_attention(a, nullptr, {}, {&taps, ""});
  EXPECT_LT(test::max_difference(weights.sum(-1), at::ones({kBatch, kHeads, 9}, at::kDouble)), 1e-12);
  EXPECT_EQ(weights.triu(1).abs().max().item<double>(), 0);
  EXPECT_GE(weights.min().item<double>(), 0);
  EXPECT_EQ(weights.select(2, 0).select(2, 0).min().item<double>(), 1);
  EXPECT_LT(test::max_difference(subspace_attention(a, nullptr, {}).select(2, 0), a.select(2, 0)), 1e-12);
}

TEST(Attention, ListeningTakesTheExplicitPathWithTheSameResult) {
  for (const Use& use : uses())
    for (const char* place : {"scores", "weights"}) {
      const at::Tensor q = heads(use.tokens, use.dim, 1), k = heads(use.tokens, use.dim, 2), v = heads(use.tokens, use.dim, 3);
      int calls = 0;
      Taps taps;
      taps.listen(place, [&calls](const std::string&, const at::Tensor& value) {
        ++calls;
        return value;
      });
      const TapScope scope{&taps, ""};
      EXPECT_LT(
          difference([&] { return attention(q, k, v, use.options, scope); }, [&] { return attention(q, k, v, use.options); }, {q, k, v}),
          1e-10)
          << use.name << ' ' << place;
      EXPECT_LT(difference([&] { return subspace_attention(q, nullptr, use.options, scope); },
                           [&] { return subspace_attention(q, nullptr, use.options); }, {q}),
                1e-10)
          << use.name << ' ' << place;
      EXPECT_EQ(calls, 2);
    }
}

TEST(Attention, TakesContiguousHeadsAndAScale) {
  const at::Tensor strided = heads(7, 8, 1), plain = strided.detach().contiguous();
  ASSERT_FALSE(strided.is_contiguous());
  EXPECT_LT(test::max_difference(subspace_attention(strided, nullptr, {}), subspace_attention(plain, nullptr, {})), 1e-12);
  EXPECT_LT(test::max_difference(subspace_attention(plain, nullptr, {.scale = 2}), attention_reference(plain, plain, plain, {.scale = 2})),
            1e-12);
}

TEST(Attention, TheResultJoinsIntoTokensWithoutACopy) {
  const at::Tensor a = heads(7, 8, 1);
  EXPECT_TRUE(subspace_attention(a, nullptr, {}).transpose(1, 2).is_contiguous());
}

TEST(Attention, RefusesWhatDoesNotFit) {
  const at::Tensor a = heads(7, 8, 1);
  EXPECT_THROW(subspace_attention(a[0], nullptr, {}), c10::ValueError);
  EXPECT_THROW(attention(a[0], a[0], a[0], {}), c10::ValueError);
  EXPECT_THROW(subspace_attention(a, nullptr, {.key_mask = padding(6)}), c10::ValueError);
  EXPECT_THROW(subspace_attention(a, nullptr, {.key_mask = at::ones({kBatch, 7})}), c10::ValueError);
  for (const at::Tensor& mask : {at::ones({7, 7}), at::ones({7, 6}, at::kBool), at::ones({kBatch, 7, 7}, at::kBool),
                                 at::ones({kBatch, kHeads + 1, 7, 7}, at::kBool)}) {
    EXPECT_THROW(attention(a, a, a, {.mask = mask}), c10::ValueError);
    EXPECT_THROW(subspace_attention(a, nullptr, {.mask = mask}), c10::ValueError);
  }
}

}  // namespace
}  // namespace aot
