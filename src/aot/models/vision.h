// SPDX-License-Identifier: Apache-2.0
// The vision model: patches of a picture as tokens, a stack of blocks in which every token reads every token, one token or their mean to
// the head. Assembled from options (docs/vision.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/core/options.h"
#include "aot/core/parameters.h"
#include "aot/models/block.h"

namespace aot {

enum class Stem { linear, normed };  // patches through a linear map, or LayerNorm, linear map, LayerNorm as in CRATE's code
enum class Pooling { class_token, mean };
enum class PicturePosition { none, learned, sincos, rotary };

/// Everything that decides the shape of a vision model. The defaults are those of `aot-mssa-v-digits`.
struct VisionOptions {
  std::string mixer = "mssa";
  BlockKind block = BlockKind::attention_only;
  int64_t width = 128;
  int64_t layers = 6;
  int64_t heads = 4;
  int64_t head_dim = 0;    // 0: width / heads
  int64_t image_size = 0;  // side of the pictures in pixels; 0: the data's
  int64_t channels = 0;    // 0: the data's
  int64_t classes = 0;     // 0: the data's
  int64_t patch = 4;       // side of a patch in pixels; divides image_size
  Stem stem = Stem::linear;
  Pooling pooling = Pooling::class_token;
  PicturePosition position = PicturePosition::learned;
  Output output = Output::untied;
  Gate gate = Gate::none;
  NormKind norm = NormKind::layer;  // with biases, unlike in language models
  bool bias = false;                // in the linear maps of blocks; patches and head always have one
  StepSize step_size = StepSize::fixed;
  double step_init = 1;
  double dropout = 0;

  [[nodiscard]] int64_t patches() const { return (image_size / patch) * (image_size / patch); }
  [[nodiscard]] int64_t tokens() const { return patches() + (pooling == Pooling::class_token ? 1 : 0); }
};

void describe(Fields& fields, VisionOptions& options);

/// `options` with `head_dim` filled in; throws UsageError with both numbers when the settings do not fit together.
VisionOptions resolved(VisionOptions options);

/// Optional inputs of a forward pass.
struct VisionInput {
  at::Tensor patch_mask;  // (B, n) bool, true = real patch; undefined when all are. A class token is always real.
  at::Tensor mask;        // bool, true = token (row) may read token (column): see MixerInput. A class token is token 0.
  bool training = false;  // dropout on
  uint64_t dropout_seed = 0;
  bool recompute = false;      // layers keep their input only (models/recompute.h); not with taps
  const Taps* taps = nullptr;  // "embedding" (B, T, D), "layers.N.<place>"
};

class VisionModel {
 public:
  /// Weights are drawn from `seed`: matrices of blocks and the patch map N(0, 1 / sqrt(3 fan-in)), head N(0, 0.02), norms 1, biases 0;
  /// class token and positions N(0, 0.02), after a normed stem N(0, 1).
  VisionModel(const VisionOptions& options, uint64_t seed);
  /// Parameters with shapes but no numbers, to count and describe a model of any size.
  static VisionModel without_storage(const VisionOptions& options);

  [[nodiscard]] const VisionOptions& options() const { return options_; }
  /// All parameters under their names in model.safetensors.
  [[nodiscard]] Parameters parameters() const;
  [[nodiscard]] const std::vector<Block>& blocks() const { return blocks_; }
  void to(at::Device device, at::ScalarType dtype);

  /// Tokens after the last block (B, T, D), class token first. images (B, C, H, W). Differentiable in the parameters and the images.
  [[nodiscard]] at::Tensor tokens(const at::Tensor& images, const VisionInput& input = {}) const;
  /// What the head reads, (B, D): the class token or the mean of the real patches, after the final norm.
  [[nodiscard]] at::Tensor features(const at::Tensor& images, const VisionInput& input = {}) const;
  /// (B, classes).
  [[nodiscard]] at::Tensor logits(const at::Tensor& images, const VisionInput& input = {}) const;

 private:
  VisionModel(const VisionOptions& options, at::Generator generator);
  [[nodiscard]] at::Tensor embed(const at::Tensor& images) const;

  VisionOptions options_;
  Norm patch_in_norm_, patch_out_norm_;  // of a normed stem
  at::Tensor patch_, patch_bias_;        // (D, C s^2), (D,)
  at::Tensor class_token_;               // (D,), undefined with mean pooling
  at::Tensor position_;                  // (T, D): learned or the fixed table; undefined for none and rotary
  std::vector<Block> blocks_;
  Norm final_norm_;
  at::Tensor head_, head_bias_;  // (classes, D), (classes,)
};

/// images (B, C, H, W) as rows of patches (B, n, C s^2): patches row by row, the numbers of each in the order (channel, row, column).
at::Tensor patches_of(const at::Tensor& images, int64_t patch);

/// Mean cross-entropy in nats of logits (B, classes) against labels (B,) int64. The target of a picture is (1 - s) one-hot + s uniform, s
/// the label smoothing.
at::Tensor label_loss(const at::Tensor& logits, const at::Tensor& labels, double label_smoothing = 0);

}  // namespace aot
