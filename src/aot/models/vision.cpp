// SPDX-License-Identifier: Apache-2.0
#include "aot/models/vision.h"

#include <cmath>

#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/ones.h>
#include <ATen/TensorOperators.h>

#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/models/positions.h"
#include "aot/models/stack.h"
#include "aot/models/stack_options.h"
#include "aot/ops/linear.h"

namespace aot {
namespace {

TokenGrid grid_of(const VisionOptions& o) {
  const int64_t side = o.image_size / o.patch;
  return {.height = side, .width = side, .leading = o.tokens() - o.patches()};
}

BlockOptions blocks_of(const VisionOptions& o) {
  BlockOptions out = block_options(o, o.tokens());
  out.mixing.rotary = o.position == PicturePosition::rotary;
  out.mixing.grid = grid_of(o);
  out.mixing.causal = false;
  out.norm_bias = true;
  return out;
}

}  // namespace

at::Tensor patches_of(const at::Tensor& images, int64_t patch) {
  const int64_t batch = images.size(0), channels = images.size(1), rows = images.size(2) / patch, columns = images.size(3) / patch;
  return images.reshape({batch, channels, rows, patch, columns, patch})
      .permute({0, 2, 4, 1, 3, 5})
      .reshape({batch, rows * columns, channels * patch * patch});
}

at::Tensor label_loss(const at::Tensor& logits, const at::Tensor& labels, double label_smoothing) {
  const bool half = logits.scalar_type() == at::kHalf || logits.scalar_type() == at::kBFloat16;
  return at::cross_entropy_loss(half ? logits.to(at::kFloat) : logits, labels, {}, at::Reduction::Mean, -100, label_smoothing);
}

VisionModel::VisionModel(const VisionOptions& options, uint64_t seed) : VisionModel(options, make_generator(derive_seed(seed, "init"))) {}

VisionModel VisionModel::without_storage(const VisionOptions& options) {
  return {options, at::Generator()};
}

VisionModel::VisionModel(const VisionOptions& options, at::Generator generator) : options_(resolved(options)) {
  const auto& o = options_;
  const int64_t inputs = o.channels * o.patch * o.patch;
  const double deviation = o.stem == Stem::normed ? 1 : 0.02;
  if (o.stem == Stem::normed) patch_in_norm_ = Norm(NormKind::layer, inputs, true, generator);
  patch_ = normal_parameter({o.width, inputs}, 1 / std::sqrt(3.0 * static_cast<double>(inputs)), generator);
  patch_bias_ = constant_parameter({o.width}, 0, generator);
  if (o.stem == Stem::normed) patch_out_norm_ = Norm(NormKind::layer, o.width, true, generator);
  if (o.pooling == Pooling::class_token) class_token_ = normal_parameter({o.width}, deviation, generator);
  if (o.position == PicturePosition::learned) position_ = normal_parameter({o.tokens(), o.width}, deviation, generator);
  if (o.position == PicturePosition::sincos && generator.defined()) position_ = sincos_positions(grid_of(o), o.width);
  blocks_ = make_blocks(blocks_of(o), generator);
  draw_by_fan_in(blocks_, generator);
  final_norm_ = Norm(o.norm == NormKind::none ? NormKind::layer : o.norm, o.width, true, generator);
  head_ = normal_parameter({o.classes, o.width}, 0.02, generator);
  head_bias_ = constant_parameter({o.classes}, 0, generator);
}

Parameters VisionModel::parameters() const {
  Parameters out;
  patch_in_norm_.collect(out, "patch_in_norm");
  out.push_back({"patch", patch_});
  out.push_back({"patch_bias", patch_bias_});
  patch_out_norm_.collect(out, "patch_out_norm");
  if (class_token_.defined()) out.push_back({"class_token", class_token_});
  if (options_.position == PicturePosition::learned) out.push_back({"position", position_});
  collect_blocks(blocks_, out);
  final_norm_.collect(out, "final_norm");
  out.push_back({"head", head_});
  out.push_back({"head_bias", head_bias_});
  return out;
}

void VisionModel::to(at::Device device, at::ScalarType dtype) {
  move_parameters(parameters(), device, dtype);
  if (options_.position == PicturePosition::sincos) position_ = position_.to(device, dtype);
}

at::Tensor VisionModel::embed(const at::Tensor& images) const {
  const VisionOptions& o = options_;
  TORCH_CHECK_VALUE(images.dim() == 4 && images.size(1) == o.channels && images.size(2) == o.image_size && images.size(3) == o.image_size,
                    "vision model: images must be (B, ", o.channels, ", ", o.image_size, ", ", o.image_size, "), got ", images.sizes());
  at::Tensor z = patches_of(images, o.patch);  // (B, n, C s^2)
  if (o.stem == Stem::normed) z = patch_in_norm_(z);
  z = linear_layer(z, patch_, patch_bias_);  // (B, n, D)
  if (o.stem == Stem::normed) z = patch_out_norm_(z);
  if (class_token_.defined()) z = at::cat({class_token_.to(z.scalar_type()).expand({z.size(0), 1, o.width}), z}, 1);  // (B, n + 1, D)
  return position_.defined() ? z + position_ : z;
}

at::Tensor VisionModel::tokens(const at::Tensor& images, const VisionInput& input) const {
  MixerInput mixing{.mask = input.mask, .causal = false, .training = input.training};
  if (input.patch_mask.defined()) {
    mixing.key_mask = input.patch_mask;
    if (class_token_.defined()) mixing.key_mask = at::cat({at::ones({images.size(0), 1}, input.patch_mask.options()), input.patch_mask}, 1);
  }
  return through_blocks(
      blocks_, embed(images), mixing,
      {.dropout = options_.dropout, .dropout_seed = input.dropout_seed, .recompute = input.recompute, .taps = input.taps});
}

at::Tensor VisionModel::features(const at::Tensor& images, const VisionInput& input) const {
  const at::Tensor z = tokens(images, input);
  if (options_.pooling == Pooling::class_token) return final_norm_(z.select(1, 0).contiguous());
  if (!input.patch_mask.defined()) return final_norm_(z.mean(1));
  const at::Tensor real = input.patch_mask.unsqueeze(2);  // (B, n, 1)
  return final_norm_(z.masked_fill(real.logical_not(), 0).sum(1) / real.sum(1).clamp_min(1));
}

at::Tensor VisionModel::logits(const at::Tensor& images, const VisionInput& input) const {
  return linear_layer(features(images, input), head_, head_bias_);
}

}  // namespace aot
