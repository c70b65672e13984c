// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/regression.h"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include "aot/core/random.h"
#include "aot/core/signals.h"

namespace aot {
namespace {

constexpr int64_t kPass = 128;  // prompts: enough for matrices to be efficient, few enough for a deep model's activations

std::vector<double> numbers_of(const at::Tensor& row) {
  const at::Tensor whole = row.contiguous();
  return {whole.const_data_ptr<double>(), whole.const_data_ptr<double>() + whole.numel()};
}

}  // namespace

at::Tensor model_predictions(const RegressionModel& model, const PromptTensors& prompts) {
  const c10::NoGradGuard no_grad;
  const at::TensorOptions form = model.parameters().front().value.options();
  const bool own_queries = !prompts.queries.is_same(prompts.x);
  at::Tensor out = at::empty(prompts.targets.sizes(), at::kDouble);
  const int64_t points = out.size(1);
  for (int64_t first = 0; first < out.size(0); first += kPass) {
    const int64_t count = std::min(kPass, out.size(0) - first);
    const auto part = [&](const at::Tensor& whole) { return whole.narrow(0, first, count).to(form.device(), form.dtype().toScalarType()); };
    const at::Tensor x = part(prompts.x), y = part(prompts.y), queries = part(prompts.queries);
    if (!own_queries) out.narrow(0, first, count).copy_(model.predictions(x, y));
    for (int64_t i = 0; own_queries && i < points; ++i) {
      const at::Tensor asked = at::cat({x.narrow(1, 0, i), queries.narrow(1, i, 1)}, 1);  // (B, i + 1, d)
      const at::Tensor known = at::cat({y.narrow(1, 0, i), at::zeros({count, 1}, form)}, 1);
      out.narrow(0, first, count).select(1, i).copy_(model.predictions(asked, known).select(1, i));
    }
  }
  return out;
}

ErrorCurve error_curve(const std::string& name, const at::Tensor& predictions, const at::Tensor& targets, double scale, uint64_t seed,
                       int64_t resamples) {
  const at::Tensor errors = (predictions - targets).square() / scale;  // (B, n)
  const int64_t prompts = errors.size(0);
  at::Tensor means = at::empty({resamples, errors.size(1)}, at::kDouble), times = at::empty({prompts}, at::kDouble);
  for (int64_t r = 0; r < resamples; ++r) {
    Random random(derive_seed(seed, "bootstrap", static_cast<uint64_t>(r)));
    auto drawn = times.zero_().accessor<double, 1>();
    for (int64_t i = 0; i < prompts; ++i) drawn[static_cast<int64_t>(random.below(static_cast<uint64_t>(prompts)))] += 1;
    means[r].copy_(times.matmul(errors) / prompts);
  }
  means = std::get<0>(means.sort(0));
  const auto at_share = [&](int64_t percent) { return numbers_of(means[percent * resamples / 100]); };
  return {.model = name, .error = numbers_of(errors.mean(0)), .low = at_share(5), .high = at_share(95)};
}

std::optional<double> mean_squared_error(const RegressionModel& model, const ProblemOptions& problem, int64_t points, uint64_t seed,
                                         int64_t prompts, int64_t batch) {
  const c10::NoGradGuard no_grad;
  const int64_t dims = model.options().dims;
  const at::Device device = model.parameters().front().value.device();
  double sum = 0;
  for (int64_t first = 0; first < prompts; first += batch) {
    if (stop_signal() != 0) return std::nullopt;
    const int64_t count = std::min(batch, prompts - first);
    const at::Tensor x = at::empty({count, points, dims}, at::kFloat), y = at::empty({count, points}, at::kFloat);
    draw_prompts(problem, {.points = points, .dims = dims, .active = dims}, seed, static_cast<uint64_t>(first), count,
                 x.mutable_data_ptr<float>(), y.mutable_data_ptr<float>());
    sum += (model.predictions(x.to(device), y.to(device)) - y.to(device)).square().sum(at::kDouble).item<double>();
  }
  return sum / static_cast<double>(prompts * points);
}

}  // namespace aot
