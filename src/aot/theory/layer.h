// SPDX-License-Identifier: Apache-2.0
// One layer of the paper on given subspaces: the update, its step, and what may stand around it.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/core/options.h"
#include "aot/models/block.h"
#include "aot/ops/mssa_streamed.h"
#include "aot/theory/token_model.h"

namespace aot {

enum class LayerForm {
  skip,    // z + eta mssa(norm z): the paper's
  convex,  // (1 - eta) z + eta mssa(norm z): the step along the coding rate's gradient before the paper simplifies it
};

struct LayerOptions {
  Weighting phi = Weighting::softmax_threshold;
  double eta = 0.1;
  double tau = 0.9;
  double scale = 1;  // c; 0: p_k^-1/2
  NormKind norm = NormKind::none;
  bool renormalize = false;  // after the update each token gets back the length that it had before
  LayerForm form = LayerForm::skip;
};

void describe(Fields& fields, LayerOptions& options);

/// Applies the layer to z (N, D) in place. Returns what each head's softmax looked like, when phi has one and `statistics` is set.
///   Cost: O(N^2 K p) time; memory of z twice and of the heads' rows (N, K p) twice.
std::vector<SoftmaxRows> apply_layer_(at::Tensor& z, const Subspaces& u, const LayerOptions& options, bool statistics);

/// What the layer multiplies every signal-to-noise ratio by while head k passes exactly the own tokens of cluster k with weight tau and
/// nothing else, without norm: 1 + eta tau (skip)   [Wang et al. 2025, Thm 3.1],  1 + eta tau / (1 - eta) (convex: ours).
double ideal_gain(const LayerOptions& options);

}  // namespace aot
