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
  [[nodiscard]] int64_t heads() const { return heads_; }  // of all sequences
  [[nodiscard]] int64_t bytes() const;
  /// Bytes that a step reads when `tokens` are held.
  [[nodiscard]] int64_t bytes_of_tokens(int64_t tokens) const;

  /// Makes a forward pass under `taps` store the rows of layer `index` from token 0 on. This must outlive `taps`.
  void fill_from(Taps& taps, int64_t index);
  /// Sequence i gets what sequence rows[i] holds.
  void reorder(std::span<const int64_t> rows);

 private:
  void fill(int64_t index, const at::Tensor& keys, const at::Tensor& values);

  bool subspaces_, two_;
  int64_t batch_, heads_;
  std::vector<CacheView> layers_;
  std::vector<at::Tensor> memory_;  // (B K, bytes of a head) and scales (B K, tokens)
  at::Tensor cos_, sin_;
  at::Tensor keys_;  // of the layer that is being filled, until its values come
};

}  // namespace aot
