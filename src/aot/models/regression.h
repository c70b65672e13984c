// SPDX-License-Identifier: Apache-2.0
// The model that learns functions in context: examples x_1, y_1, x_2, y_2, ... as tokens, a causal stack of blocks, and at every x_i a
// prediction of y_i [Garg et al. 2022, section 2 and appendix A] (docs/icl.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/core/options.h"
#include "aot/core/parameters.h"
#include "aot/models/block.h"
#include "aot/models/positions.h"

namespace aot {

enum class Init { normal, fan_in };  // how the matrices of blocks start: N(0, 0.02), or by their inputs

/// Everything that decides the shape of the model, and how it starts. The defaults are those of `icl-mssa-small`, but for `init`.
struct RegressionOptions {
  std::string mixer = "mssa";
  BlockKind block = BlockKind::attention_only;
  int64_t width = 64;
  int64_t layers = 18;
  int64_t heads = 2;
  int64_t head_dim = 0;     // 0: width / heads
  int64_t dims = 5;         // d, numbers of an x
  int64_t max_points = 11;  // pairs of x and y at most: there are 2 max_points positions
  Position position = Position::learned;
  bool rotary = false;
  Output output = Output::untied;
  Gate gate = Gate::none;
  NormKind norm = NormKind::layer;
  bool bias = false;  // in the linear maps and norms of blocks; the first and the last map always have one
  StepSize step_size = StepSize::fixed;
  double step_init = 1;
  Init init = Init::normal;
  double dropout = 0;
};

void describe(Fields& fields, RegressionOptions& options);

/// `options` with `head_dim` filled in; throws UsageError with both numbers when the settings do not fit together.
RegressionOptions resolved(RegressionOptions options);

/// Optional inputs of a forward pass.
struct RegressionInput {
  bool training = false;  // dropout on
  uint64_t dropout_seed = 0;
  bool recompute = false;      // layers keep their input only (models/recompute.h); not with taps
  const Taps* taps = nullptr;  // "embedding" (B, 2 n, D), "layers.N.<place>"
};

class RegressionModel {
 public:
  /// Weights are drawn from `seed`: N(0, 0.02), output projections N(0, 0.02 / sqrt(2 L)), the first map N(0, 1 / sqrt(3 d)) with its bias,
  /// the last N(0, 1 / sqrt(3 D)): the deviations of Garg et al.'s uniform ones. Norms 1, other biases 0. With Init::fan_in the matrices of
  /// blocks are drawn as the last map is, each by its own inputs.
  RegressionModel(const RegressionOptions& options, uint64_t seed);
  /// Parameters with shapes but no numbers, to count and describe a model of any size.
  static RegressionModel without_storage(const RegressionOptions& options);

  [[nodiscard]] const RegressionOptions& options() const { return options_; }
  /// All parameters under their names in model.safetensors.
  [[nodiscard]] Parameters parameters() const;
  [[nodiscard]] const std::vector<Block>& blocks() const { return blocks_; }
  void to(at::Device device, at::ScalarType dtype);

  /// What y_i is, from x_1, y_1, ..., x_i alone: (B, n). x (B, n, d), y (B, n), n <= max_points where positions are a table.
  /// Differentiable in the parameters, x and y.
  [[nodiscard]] at::Tensor predictions(const at::Tensor& x, const at::Tensor& y, const RegressionInput& input = {}) const;
  /// Mean of (prediction - y)^2 over all points of all prompts.
  [[nodiscard]] at::Tensor loss(const at::Tensor& x, const at::Tensor& y, const RegressionInput& input = {}) const;

 private:
  RegressionModel(const RegressionOptions& options, at::Generator generator);
  [[nodiscard]] at::Tensor embed(const at::Tensor& x, const at::Tensor& y) const;

  RegressionOptions options_;
  at::Tensor read_in_, read_in_bias_;  // (D, d), (D,)
  at::Tensor position_;                // (2 max_points, D): learned or the fixed table; undefined for none
  std::vector<Block> blocks_;
  Norm final_norm_;
  at::Tensor head_, head_bias_;  // (1, D), (1,)
};

/// x_1, (y_1, 0, ..., 0), x_2, (y_2, 0, ..., 0), ...: x (B, n, d), y (B, n) -> (B, 2 n, d).
at::Tensor interleaved(const at::Tensor& x, const at::Tensor& y);

}  // namespace aot
