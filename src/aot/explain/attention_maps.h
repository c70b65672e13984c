// SPDX-License-Identifier: Apache-2.0
// Where the heads of a vision model look: attention over the patches of a picture (docs/explain.md).
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/models/vision.h"

namespace aot {

/// Throws UsageError when the model's mixer has no attention weights (tssa).
void check_attention(const VisionModel& model);

/// Attention weights (B, K, T, T) of one layer as maps (B, K, side, side) over the grid of patches: what the class token reads of each
/// patch, its reading of itself left out; in a model without one, what a patch is read by all patches, in the mean.
///   [the class token's row: Caron et al. 2021, figure 1; Yu et al. 2023 (CRATE)]
at::Tensor attention_map(const at::Tensor& weights, const VisionOptions& options);

/// The maps of every layer, first layer first, for images (B, C, S, S).
///   tokens_of: layer by layer the model reads the tokens of this other model of the same shapes instead of its own; null: its own.
///   Cost: a forward pass, with the weights (B, K, T, T) of one layer at a time in memory.
std::vector<at::Tensor> attention_maps(const VisionModel& model, const at::Tensor& images, const VisionModel* tokens_of = nullptr);

/// Maps (..., side, side) at `size` pixels by cubic convolution (models/vision_transfer.h), each then shifted and scaled to [0, 1]; a map
/// that is the same everywhere becomes 0.
at::Tensor shown_maps(const at::Tensor& maps, int64_t size);

}  // namespace aot
