// SPDX-License-Identifier: Apache-2.0
// Other programs' models by their own formulas and from their own tensors, plainly: what a conversion is checked against. One tensor of the
// source is in memory at a time.
#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

#include "aot/interop/named_tensors.h"

namespace aot {

/// The GPT-2 family: nanoGPT, transformers, and ToST's language models.
struct Gpt2Shape {
  std::string prefix{};  // of every name but the head's
  int64_t layers = 0, heads = 0;
  bool transposed = false;  // linear maps are stored (in, out), as transformers' Conv1D does
  bool bias = true;
  bool gelu_tanh = false;
  bool steps = false;  // both branches times a vector, gamma1 and gamma2, before they are added
  bool tssa = false;   // token statistics in place of attention
  std::string head{};  // name of the head's tensor: the embedding's when they are tied
};

/// ids (B, T) int64 -> logits (B, T, V).   [Radford et al. 2019; Wu et al. 2025: ToST]
at::Tensor gpt2_logits(const NamedTensors& tensors, const Gpt2Shape& shape, const at::Tensor& ids);

/// The same of TransformerLens' attention-only model, W_Q (K, D, P) and so on. Norms without weights where the file has none.
at::Tensor transformer_lens_logits(const NamedTensors& tensors, int64_t layers, const at::Tensor& ids);

/// images (B, C, H, W) -> (B, classes).   [Yu et al. 2023; patches in CRATE's order (row, column, channel)]
at::Tensor crate_logits(const NamedTensors& tensors, int64_t layers, int64_t heads, int64_t patch, const at::Tensor& images);

}  // namespace aot
