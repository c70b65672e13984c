// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/regression_baselines.h"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linalg_lstsq.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include "aot/eval/lasso.h"

namespace aot {
namespace {

/// Calls predict(x (B, i, d), y (B, i), queries (B, d)) -> (B,) for every i >= 1.
template <class Predict>
at::Tensor by_examples(const PromptTensors& prompts, Predict predict) {
  at::Tensor out = at::zeros_like(prompts.targets);
  for (int64_t i = 1; i < out.size(1); ++i)
    out.select(1, i).copy_(predict(prompts.x.narrow(1, 0, i), prompts.y.narrow(1, 0, i), prompts.queries.select(1, i)));
  return out;
}

/// The lasso of one prompt after each number of examples, each started from the solution before.
void lasso_of_prompt(const PromptTensors& prompts, int64_t prompt, double alpha, at::TensorAccessor<double, 1> out) {
  const auto dims = static_cast<size_t>(prompts.x.size(2));
  const auto x = prompts.x.accessor<double, 3>()[prompt], queries = prompts.queries.accessor<double, 3>()[prompt];
  const auto y = prompts.y.accessor<double, 2>()[prompt];
  std::vector<double> gram(dims * dims), xy(dims), scaled_gram(dims * dims), scaled_xy(dims), w(dims);
  double yy = 0;
  for (int64_t i = 1; i < out.size(0); ++i) {
    const auto row = x[i - 1];
    const double answer = y[i - 1], share = 1 / static_cast<double>(i);
    yy += answer * answer;
    for (size_t j = 0; j < dims; ++j) {
      const double number = row[static_cast<int64_t>(j)];
      xy[j] += number * answer;
      for (size_t k = 0; k < dims; ++k) gram[j * dims + k] += number * row[static_cast<int64_t>(k)];
    }
    std::transform(gram.begin(), gram.end(), scaled_gram.begin(), [share](double sum) { return share * sum; });
    std::transform(xy.begin(), xy.end(), scaled_xy.begin(), [share](double sum) { return share * sum; });
    lasso({.gram = scaled_gram, .xy = scaled_xy, .yy = share * yy}, alpha, w);
    double predicted = 0;
    for (size_t k = 0; k < dims; ++k) predicted += w[k] * queries[i][static_cast<int64_t>(k)];
    out[i] = predicted;
  }
}

}  // namespace

PromptTensors prompt_tensors(const Prompts& prompts) {
  const auto tensor = [](const std::vector<float>& numbers, at::IntArrayRef shape) {
    at::Tensor out = at::empty(shape, at::kFloat);
    std::copy(numbers.begin(), numbers.end(), out.mutable_data_ptr<float>());
    return out.to(at::kDouble);
  };
  const std::vector<int64_t> rows = {prompts.count, prompts.points}, numbers = {prompts.count, prompts.points, prompts.dims};
  PromptTensors out{.x = tensor(prompts.x, numbers), .y = tensor(prompts.y, rows), .queries = {}, .targets = {}};
  out.queries = prompts.own_queries() ? tensor(prompts.queries, numbers) : out.x;
  out.targets = prompts.own_queries() ? tensor(prompts.targets, rows) : out.y;
  return out;
}

at::Tensor least_squares_predictions(const PromptTensors& prompts) {
  return by_examples(prompts, [](const at::Tensor& x, const at::Tensor& y, const at::Tensor& query) {
    const at::Tensor w = std::get<0>(at::linalg_lstsq(x, y.unsqueeze(2), std::nullopt, "gelsd"));  // (B, d, 1)
    return (query * w.squeeze(2)).sum(1);
  });
}

at::Tensor ridge_predictions(const PromptTensors& prompts, double lambda) {
  return by_examples(prompts, [lambda](const at::Tensor& x, const at::Tensor& y, const at::Tensor& query) {
    at::Tensor gram = x.mT().matmul(x);  // (B, d, d)
    gram.diagonal(0, 1, 2).add_(lambda);
    const at::Tensor w = at::linalg_solve(gram, x.mT().matmul(y.unsqueeze(2)));  // (B, d, 1)
    return (query * w.squeeze(2)).sum(1);
  });
}

at::Tensor lasso_predictions(const PromptTensors& prompts, double alpha) {
  at::Tensor out = at::zeros_like(prompts.targets);
  auto rows = out.accessor<double, 2>();
  at::parallel_for(0, out.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t prompt = begin; prompt < end; ++prompt) lasso_of_prompt(prompts, prompt, alpha, rows[prompt]);
  });
  return out;
}

at::Tensor nearest_predictions(const PromptTensors& prompts, int64_t neighbours) {
  return by_examples(prompts, [neighbours](const at::Tensor& x, const at::Tensor& y, const at::Tensor& query) {
    const at::Tensor distance = at::linalg_vector_norm(x - query.unsqueeze(1), 2, at::IntArrayRef(2));  // (B, i)
    const at::Tensor nearest = std::get<1>(distance.topk(std::min(neighbours, x.size(1)), 1, /*largest=*/false));
    return y.gather(1, nearest).mean(1);
  });
}

at::Tensor averaging_predictions(const PromptTensors& prompts) {
  return by_examples(prompts, [](const at::Tensor& x, const at::Tensor& y, const at::Tensor& query) {
    return (query * (x * y.unsqueeze(2)).mean(1)).sum(1);
  });
}

at::Tensor zero_predictions(const PromptTensors& prompts) {
  return at::zeros_like(prompts.targets);
}

std::vector<Baseline> baselines_of(Problem problem, double noise) {
  const double lambda = noise > 0 ? noise * noise : 0.01;
  std::vector<Baseline> out = {
      {"least-squares", least_squares_predictions},
      {fmt::format("ridge-{:g}", lambda), [lambda](const PromptTensors& prompts) { return ridge_predictions(prompts, lambda); }}};
  if (problem == Problem::sparse_linear)
    for (const double alpha : {1.0, 0.1, 0.01, 0.001, 0.0001})
      out.push_back(
          {fmt::format("lasso-{:g}", alpha), [alpha](const PromptTensors& prompts) { return lasso_predictions(prompts, alpha); }});
  out.push_back({"3-nearest", [](const PromptTensors& prompts) { return nearest_predictions(prompts, 3); }});
  out.push_back({"averaging", averaging_predictions});
  out.push_back({"zero", zero_predictions});
  return out;
}

}  // namespace aot
