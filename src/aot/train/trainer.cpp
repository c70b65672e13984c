// SPDX-License-Identifier: Apache-2.0
#include "aot/train/trainer.h"

#include <cmath>

#include <ATen/ops/full_like.h>

#include "aot/core/autocast.h"
#include "aot/core/device.h"
#include "aot/core/gradients.h"
#include "aot/core/non_finite.h"
#include "aot/core/random.h"
#include "aot/core/tensor_file.h"
#include "aot/io/error.h"

namespace aot {
namespace {

/// Of a pass whose loss is not finite: the weight that already held such a value, if one did.
[[noreturn]] void refuse_loss(int64_t step, double loss, const Parameters& parameters) {
  std::string where;
  for (const Parameter& parameter : parameters)
    if (where.empty() && first_non_finite(parameter.value) >= 0) where = ", weight '" + parameter.name + "' holds a NaN or an infinity";
  throw NonFiniteError(str("step ", step, ": loss is ", loss, where));
}

}  // namespace

at::Tensor language_loss(const LanguageModel& model, const at::Tensor& ids, const at::Tensor& targets, const Pass& pass,
                         LanguageInput input) {
  input.training = true;
  input.recompute = pass.recompute;
  input.dropout_seed = pass.dropout_seed;
  return model.loss(ids.narrow(0, pass.first, pass.rows), targets.narrow(0, pass.first, pass.rows), input);
}

Trainer::Trainer(const Parameters& parameters, const TrainOptions& options, uint64_t seed, int64_t horizon)
    : options_(options), seed_(seed), horizon_(horizon), dtype_(parse_dtype(options.dtype)), optimizer_(parameters, options.optimizer) {
  for (const Parameter& parameter : optimizer_.parameters()) parameter.value.requires_grad_(true);
}

StepResult Trainer::step(const PassLoss& loss_of) {
  const int64_t done = steps(), passes = options_.accumulate;
  if (unfinished_) optimizer_.zero_gradients();
  unfinished_ = true;
  const at::DeviceType device = optimizer_.parameters().front().value.device().type();
  const double share = 1.0 / static_cast<double>(passes);  // of a pass in the step's loss
  StepResult result{.lr = learning_rate(options_.schedule, horizon_, done)};
  for (int64_t pass = 0; pass < passes; ++pass) {
    at::Tensor loss;
    {
      const GradientsInPlace in_place(share);
      const Autocast autocast(device, dtype_);
      loss = loss_of({.first = pass * options_.batch,
                      .rows = options_.batch,
                      .dropout_seed = derive_seed(seed_, "dropout", static_cast<uint64_t>(done * passes + pass)),
                      .recompute = options_.recompute});
    }
    const auto value = loss.item<double>();
    if (!std::isfinite(value)) refuse_loss(done + 1, value, optimizer_.parameters());
    result.loss += value * share;
    loss.backward(passes == 1 ? at::Tensor() : at::full_like(loss, share));
  }
  result.gradient_norm = optimizer_.gradient_norm();
  if (!std::isfinite(result.gradient_norm))
    throw NonFiniteError(str("step ", done + 1, ": gradient of '", optimizer_.first_non_finite_gradient(), "' holds a NaN or an infinity"));
  const bool clipped = options_.clip > 0 && result.gradient_norm > options_.clip;
  optimizer_.update(result.lr, clipped ? result.gradient_norm / options_.clip : 1);
  unfinished_ = false;
  return result;
}

}  // namespace aot
