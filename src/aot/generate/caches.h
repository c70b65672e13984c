// SPDX-License-Identifier: Apache-2.0
// The caches of a decoding batch, in panels: one a layer where rows are keys and values at once, else two.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/kernels/cpu/decode.h"
#include "aot/models/language.h"
#include "aot/ops/taps.h"

namespace aot {

class Caches {
 public:
  /// `two`: also for subspaces, whose rows are keys and values at once.
  Caches(const LanguageOptions& model, int64_t batch, int64_t max_tokens, NumberFormat format, bool two);

  [[nodiscard]] const CacheView& layer(int64_t index) const { return layers_[static_cast<size_t>(index)]; }
  [[nodiscard]] int64_t bytes() const;
  /// Bytes that a step of so many sequences reads when `tokens` of each are held.
  [[nodiscard]] int64_t bytes_of_tokens(int64_t sequences, int64_t tokens) const;

  /// Makes a forward pass of one sequence under `taps` store the rows of layer `index` as those of `sequence`, from token 0 on. This must
  /// outlive `taps`.
  void fill_from(Taps& taps, int64_t index, int64_t sequence);
  /// Sequence i gets the first `tokens` that sequence rows[i] holds.
  void reorder(std::span<const int64_t> rows, int64_t tokens);

 private:
  void fill(int64_t index, int64_t sequence, const at::Tensor& keys, const at::Tensor& values);

  bool subspaces_, two_;
  int64_t batch_, heads_;  // of one sequence
  std::vector<CacheView> layers_;
  std::vector<at::Tensor> memory_;  // (B K, bytes of a head) and scales (B K, tokens)
  at::Tensor cos_, sin_;
  at::Tensor keys_;  // of the layer that is being filled, until its values come
};

}  // namespace aot
