// SPDX-License-Identifier: Apache-2.0
#include "aot/interop/compare.h"

#include <algorithm>
#include <set>

#include <ATen/ops/arange.h>
#include <ATen/ops/randn.h>
#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>

#include "aot/core/random.h"

namespace aot {

LogitDifference compare_logits(const at::Tensor& a, const at::Tensor& b) {
  const c10::InferenceMode guard;
  TORCH_CHECK_VALUE(a.sizes() == b.sizes(), "compare: logits of shapes ", a.sizes(), " and ", b.sizes());
  const at::Tensor difference = (a - b).abs();
  return {.positions = a.numel() / a.size(-1),
          .largest = difference.max().item<double>(),
          .mean = difference.mean().item<double>(),
          .magnitude = a.abs().max().item<double>(),
          .top1_agreement = a.argmax(-1).eq(b.argmax(-1)).to(at::kDouble).mean().item<double>()};
}

at::Tensor probe_of(const LanguageOptions& options) {
  constexpr int64_t kRows = 2, kTokens = 64, kStride = 7919;  // a prime, so that ids repeat late
  const int64_t tokens = std::min(kTokens, options.context);
  return at::arange(kRows * tokens, at::kLong).mul(kStride).remainder(options.vocab_size).view({kRows, tokens});
}

at::Tensor probe_of(const VisionOptions& options) {
  return at::randn({2, options.channels, options.image_size, options.image_size}, make_generator(derive_seed(0, "probe")), at::kFloat);
}

std::vector<TensorDifference> compare_tensors(const NamedTensors& a, const NamedTensors& b) {
  const c10::InferenceMode guard;
  std::set<std::string> names(a.names().begin(), a.names().end());
  names.insert(b.names().begin(), b.names().end());
  std::vector<TensorDifference> out;
  for (const std::string& name : names) {
    TensorDifference& row = out.emplace_back();
    row.name = name;
    if (const auto* shape = a.shape(name)) row.in_a = true, row.shape_a = *shape;
    if (const auto* shape = b.shape(name)) row.in_b = true, row.shape_b = *shape;
    row.numbers = row.same_shape() && a.is_floating(name) && b.is_floating(name);
    if (!row.numbers) continue;
    const at::Tensor left = a.read_any(name), right = b.read_any(name), same = left.eq(right);
    if (left.numel() == 0) continue;
    const at::Tensor difference = left.sub_(right).abs_().masked_fill_(same, 0.0);  // an infinity is no further from itself
    row.largest = difference.max().item<double>();
    row.mean = difference.mean().item<double>();
  }
  return out;
}

}  // namespace aot
