// SPDX-License-Identifier: Apache-2.0
// A language model's weights as the decoding kernels read them: packed once, in the order of use.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/kernels/cpu/decode.h"
#include "aot/models/language.h"

namespace aot {

/// Whether the kernels know every part of `model`: a softmax mixer, on a processor, in float32 or bfloat16.
bool decodes_natively(const LanguageModel& model);

struct PackedNorm {
  NormFormula formula = NormFormula::none;
  const float *weight = nullptr, *bias = nullptr;
};

/// One matrix with what follows its product; bias and steps reach to the end of the last panel.
struct PackedLinear {
  PackedMatrix w;
  const float* bias = nullptr;
  float step = 1;
  const float* steps = nullptr;
};

struct PackedLayer {
  PackedNorm norm, mlp_norm;
  PackedLinear project;  // u, or queries, keys and values
  PackedLinear output;   // with the block's step size
  std::optional<PackedLinear> gate;
  ProductEnd activation = ProductEnd::gelu;
  std::optional<PackedLinear> mlp_in, mlp_out;  // the latter with its step size
};

/// Copies: later changes of the model's weights are not seen, except the embedding's, which is read in place.
class PackedModel {
 public:
  PackedModel(const LanguageModel& model, NumberFormat format);

  /// z (width) = embedding of `id` at position `at`.
  void embed(int64_t id, int64_t at, float* z) const;
  [[nodiscard]] const std::vector<PackedLayer>& layers() const { return layers_; }
  [[nodiscard]] const PackedNorm& final_norm() const { return final_norm_; }
  [[nodiscard]] const PackedLinear& head() const { return head_; }
  /// Bytes of all packed matrices: what one step reads of them.
  [[nodiscard]] int64_t bytes() const { return bytes_; }

 private:
  const float* keep(const at::Tensor& values, int64_t padded);
  PackedMatrix pack(const at::Tensor& w, NumberFormat format);

  at::Tensor embedding_, position_;
  std::vector<PackedLayer> layers_;
  PackedNorm final_norm_;
  PackedLinear head_;
  std::vector<at::Tensor> memory_;
  int64_t bytes_ = 0;
};

}  // namespace aot
