// SPDX-License-Identifier: Apache-2.0
#include "aot/explain/attention_maps.h"

#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include "aot/core/non_finite.h"
#include "aot/io/error.h"
#include "aot/models/vision_transfer.h"

namespace aot {

void check_attention(const VisionModel& model) {
  if (!model.blocks().front().mixer().capabilities().operator_matrix)
    throw UsageError(str("this model mixes by ", model.options().mixer, ", which has no attention weights to show"));
}

at::Tensor attention_map(const at::Tensor& weights, const VisionOptions& options) {
  const int64_t patches = options.patches(), side = options.image_size / options.patch;
  const bool class_token = options.pooling == Pooling::class_token;
  const at::Tensor read = class_token ? weights.select(2, 0).narrow(2, 1, patches) : weights.mean(2);  // (B, K, n)
  return read.reshape({weights.size(0), weights.size(1), side, side});
}

std::vector<at::Tensor> attention_maps(const VisionModel& model, const at::Tensor& images, const VisionModel* tokens_of) {
  const c10::NoGradGuard no_grad;
  const VisionOptions& o = model.options();
  std::vector<at::Tensor> maps, residuals;
  Taps taps;
  if (tokens_of != nullptr) {
    Taps others;
    others.listen("layers.*.residual", [&residuals](const std::string&, const at::Tensor& z) {
      residuals.push_back(z);
      return z;
    });
    static_cast<void>(tokens_of->tokens(images, {.taps = &others}));
    taps.listen("layers.*.residual", [&](const std::string&, const at::Tensor&) { return residuals[maps.size() - 1]; });
  }
  taps.listen("layers.*.weights", [&](const std::string& name, const at::Tensor& weights) {
    maps.push_back(attention_map(weights, o).to(at::kCPU, at::kFloat));
    if (!maps.back().isfinite().all().item<bool>()) throw NonFiniteError(name);
    return weights;
  });
  static_cast<void>(model.tokens(images, {.taps = &taps}));
  return maps;
}

at::Tensor shown_maps(const at::Tensor& maps, int64_t size) {
  const at::Tensor wide = resized_grid(maps, size, size);
  const at::Tensor low = at::amin(wide, {-2, -1}, true), range = at::amax(wide, {-2, -1}, true) - low;
  // Interpolation gives back an even map with rounding on it, which must not be stretched to a picture.
  const at::Tensor uneven = range > 1e-5 * at::amax(wide.abs(), {-2, -1}, true);
  return at::where(uneven, (wide - low) / range, at::zeros_like(wide));
}

}  // namespace aot
