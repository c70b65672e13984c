// SPDX-License-Identifier: Apache-2.0
#include "aot/models/regression.h"

#include <cmath>

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/stack.h>
#include <ATen/TensorOperators.h>

#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/models/stack.h"
#include "aot/models/stack_options.h"
#include "aot/ops/linear.h"

namespace aot {
namespace {

/// The deviation of numbers that are uniform in +-1 / sqrt(inputs).
double uniform_deviation(int64_t inputs) {
  return 1 / std::sqrt(3.0 * static_cast<double>(inputs));
}

}  // namespace

at::Tensor interleaved(const at::Tensor& x, const at::Tensor& y) {
  const at::Tensor wide = at::constant_pad_nd(y.unsqueeze(2), {0, x.size(2) - 1}, 0);  // (B, n, d)
  return at::stack({x, wide}, 2).flatten(1, 2);                                        // (B, 2 n, d)
}

RegressionModel::RegressionModel(const RegressionOptions& options, uint64_t seed)
    : RegressionModel(options, make_generator(derive_seed(seed, "init"))) {}

RegressionModel RegressionModel::without_storage(const RegressionOptions& options) {
  return {options, at::Generator()};
}

RegressionModel::RegressionModel(const RegressionOptions& options, at::Generator generator) : options_(resolved(options)) {
  const auto& o = options_;
  const int64_t tokens = 2 * o.max_points;
  read_in_ = normal_parameter({o.width, o.dims}, uniform_deviation(o.dims), generator);
  read_in_bias_ = normal_parameter({o.width}, uniform_deviation(o.dims), generator);
  if (o.position == Position::learned) position_ = normal_parameter({tokens, o.width}, 0.02, generator);
  if (o.position == Position::sincos && generator.defined()) position_ = sincos_positions(tokens, o.width);
  blocks_ = make_blocks(sequence_block_options(o, tokens), generator);
  if (o.init == Init::fan_in) draw_by_fan_in(blocks_, generator);
  final_norm_ = Norm(o.norm, o.width, o.bias, generator);
  head_ = normal_parameter({1, o.width}, uniform_deviation(o.width), generator);
  head_bias_ = constant_parameter({1}, 0, generator);
}

Parameters RegressionModel::parameters() const {
  Parameters out{{"read_in", read_in_}, {"read_in_bias", read_in_bias_}};
  if (options_.position == Position::learned) out.push_back({"position", position_});
  collect_blocks(blocks_, out);
  final_norm_.collect(out, "final_norm");
  out.push_back({"head", head_});
  out.push_back({"head_bias", head_bias_});
  return out;
}

void RegressionModel::to(at::Device device, at::ScalarType dtype) {
  move_parameters(parameters(), device, dtype);
  if (options_.position == Position::sincos) position_ = position_.to(device, dtype);
}

at::Tensor RegressionModel::embed(const at::Tensor& x, const at::Tensor& y) const {
  const RegressionOptions& o = options_;
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(2) == o.dims, "regression model: x must be (B, n, ", o.dims, "), got ", x.sizes());
  TORCH_CHECK_VALUE(y.sizes() == x.sizes().slice(0, 2), "regression model: y must be ", x.sizes().slice(0, 2), ", got ", y.sizes());
  TORCH_CHECK_VALUE(x.size(1) <= o.max_points || !position_.defined(), "regression model: ", x.size(1), " points exceed the ", o.max_points,
                    " that it has positions for");
  const at::Tensor z = linear_layer(interleaved(x, y), read_in_, read_in_bias_);  // (B, 2 n, D)
  return position_.defined() ? z + position_.narrow(0, 0, z.size(1)) : z;
}

at::Tensor RegressionModel::predictions(const at::Tensor& x, const at::Tensor& y, const RegressionInput& input) const {
  const at::Tensor z =
      through_blocks(blocks_, embed(x, y), {.causal = true, .training = input.training},
                     {.dropout = options_.dropout, .dropout_seed = input.dropout_seed, .recompute = input.recompute, .taps = input.taps});
  const at::Tensor at_x = z.slice(1, 0, std::nullopt, 2).contiguous();   // (B, n, D)
  return linear_layer(final_norm_(at_x), head_, head_bias_).squeeze(2);  // (B, n)
}

at::Tensor RegressionModel::loss(const at::Tensor& x, const at::Tensor& y, const RegressionInput& input) const {
  const at::Tensor predicted = predictions(x, y, input);
  const bool half = predicted.scalar_type() == at::kHalf || predicted.scalar_type() == at::kBFloat16;
  return at::mse_loss(half ? predicted.to(at::kFloat) : predicted, y);
}

}  // namespace aot
