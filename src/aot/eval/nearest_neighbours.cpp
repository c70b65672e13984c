// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/nearest_neighbours.h"

#include <algorithm>

#include <ATen/ops/matmul.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include "aot/core/log.h"
#include "aot/core/signals.h"

namespace aot {
namespace {

constexpr int64_t kCosines = 1 << 25;  // held at a time

at::Tensor unit_rows(const at::Tensor& features) {
  return features / features.norm(2, {1}, true).clamp_min(1e-12);
}

}  // namespace

std::optional<PictureScore> score_neighbours(const PictureFeatures& train, const PictureFeatures& val, int64_t classes,
                                             const NeighbourOptions& options, bool progress) {
  const c10::NoGradGuard no_grad;
  const at::Tensor keys = unit_rows(train.features).t(), queries = unit_rows(val.features);
  const int64_t count = queries.size(0), held = keys.size(1), k = std::min(options.neighbours, held);
  const int64_t batch = std::clamp<int64_t>(kCosines / held, 1, 1024);
  std::optional<Progress> line;
  if (progress) line.emplace("comparing", static_cast<double>(count), "pictures");
  PictureCount counted;
  for (int64_t first = 0; first < count; first += batch) {
    if (stop_signal() != 0) return std::nullopt;
    const int64_t rows = std::min(batch, count - first);
    const auto [cosine, nearest] = at::topk(at::matmul(queries.narrow(0, first, rows), keys), k, 1);  // (B, k)
    const at::Tensor neighbours = train.labels.index_select(0, nearest.flatten()).view({rows, k});
    // exp((s - 1) / tau): the same order, and no overflow for a small tau.
    const at::Tensor votes = ((cosine.to(at::kDouble) - 1) / options.temperature).exp();
    counted.add(at::zeros({rows, classes}, at::kDouble).scatter_add(1, neighbours, votes), val.labels.narrow(0, first, rows));
    if (line) line->update(static_cast<double>(first + rows));
  }
  return counted.score();
}

}  // namespace aot
