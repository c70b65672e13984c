// SPDX-License-Identifier: Apache-2.0
#include "apps/bench_model.h"

#include <algorithm>
#include <vector>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/randint.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "aot/core/autocast.h"
#include "aot/core/device.h"
#include "aot/core/random.h"
#include "aot/generate/decoder.h"
#include "aot/io/error.h"
#include "apps/bench_support.h"

namespace aot {
namespace {

constexpr double kSampleFlop = 2e11;  // of float64, about two seconds

/// Tokens of the sample when one of them costs `flop`: at least 2, at most the context.
int64_t sample_tokens(const LanguageOptions& options, double flop) {
  return std::clamp<int64_t>(static_cast<int64_t>(kSampleFlop / flop), 2, options.context);
}

double checked(double error, const std::string& dtype) {
  const double bound = dtype == "float32" ? 1e-4 : 0.05;
  if (!(error <= bound))
    throw Error(ExitCode::failed,
                str("bench: error ", error, " against float64, expected at most ", bound, " in ", dtype, ": no time is given"));
  return error;
}

LanguageModel exact_model(const LanguageOptions& options) {
  LanguageModel model(options, 0);
  model.to(at::kCPU, at::kDouble);
  return model;
}

/// The loss, then the gradient of each parameter.
std::vector<at::Tensor> loss_and_gradients(const LanguageModel& model, const at::Tensor& ids, const at::Tensor& targets, bool causal,
                                           at::ScalarType dtype) {
  std::vector<at::Tensor> leaves;
  for (const Parameter& parameter : model.parameters()) leaves.push_back(parameter.value.requires_grad_(true));
  at::Tensor loss;
  {
    const Autocast autocast(at::kCPU, dtype);
    loss = model.loss(ids, targets, {.causal = causal, .training = true});
  }
  std::vector<at::Tensor> found = torch::autograd::grad({loss}, leaves);
  found.insert(found.begin(), loss.detach());
  return found;
}

}  // namespace

double step_error(const BenchFlags& flags) {
  const LanguageModel model(flags.model, 0), exact = exact_model(flags.model);
  const int64_t tokens = sample_tokens(flags.model, 6.0 * static_cast<double>(counted_parameters(model)));
  const at::Tensor ids = at::randint(flags.model.vocab_size, {1, tokens}, make_generator(1), at::kLong);
  const at::Tensor targets = at::randint(flags.model.vocab_size, {1, tokens}, make_generator(2), at::kLong);
  const bool causal = flags.mask == "causal";
  const auto ours = loss_and_gradients(model, ids, targets, causal, parse_dtype(flags.dtype));
  const auto theirs = loss_and_gradients(exact, ids, targets, causal, at::kDouble);
  double error = 0;
  for (size_t i = 0; i < ours.size(); ++i) error = std::max(error, relative_error(ours[i], theirs[i]));
  return checked(error, flags.dtype);
}

double decode_error(const BenchFlags& flags) {
  const c10::NoGradGuard no_grad;
  const LanguageModel model(flags.model, 0), exact = exact_model(flags.model);
  const int64_t tokens = sample_tokens(flags.model, 2.0 * static_cast<double>(counted_parameters(model)));
  Decoder decoder(model, {.max_tokens = tokens, .format = parse_number_format(flags.dtype)});
  const at::Tensor ids = at::randint(flags.model.vocab_size, {1, tokens}, make_generator(1), at::kInt);
  const auto* first = ids.const_data_ptr<int32_t>();
  decoder.read({first, static_cast<size_t>(tokens - 1)}, tokens - 1);
  decoder.step({first + tokens - 1, 1});
  const std::span<const float> logits = decoder.logits();
  const at::Tensor ours = at::from_blob(const_cast<float*>(logits.data()), {static_cast<int64_t>(logits.size())}, at::kFloat);
  const at::Tensor theirs = exact.logits(exact.hidden(ids.to(at::kLong)).select(1, tokens - 1)).flatten();
  return checked(relative_error(ours, theirs), flags.dtype);
}

}  // namespace aot
