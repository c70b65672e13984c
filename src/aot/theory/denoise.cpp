// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/denoise.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/maximum.h>
#include <ATen/TensorOperators.h>

#include "aot/io/error.h"

namespace aot {
namespace {

/// Rows of head k that belong to C_k, and the others.
struct Split {
  at::Tensor inside, outside;
};

Split split_rows(const at::Tensor& rows, int64_t first, int64_t size) {
  return {rows.narrow(0, first, size), at::cat({rows.narrow(0, 0, first), rows.narrow(0, first + size, rows.size(0) - first - size)})};
}

/// (N,) int64: the cluster of each row.
at::Tensor labels_of(const TokenSample& sample) {
  at::Tensor labels = at::empty({sample.z.size(0)}, at::kLong);
  for (int64_t k = 0; k < sample.truth.count(); ++k)
    labels.narrow(0, sample.first_row(k), sample.cluster_sizes[static_cast<size_t>(k)]).fill_(k);
  return labels;
}

/// Takes in the rows of head k that differ from the pattern.
void note_wrong_rows(const SoftmaxRows& rows, int64_t k, const at::Tensor& labels, double tau, MaskRecord& record) {
  const at::Tensor mine = labels == k;
  const at::Tensor own_wrong = (rows.own > tau).logical_xor(mine), stranger_passes = rows.other > tau;
  const int64_t wrong_own = own_wrong.sum().item<int64_t>(), wrong_others = stranger_passes.sum().item<int64_t>();
  if (wrong_own + wrong_others == 0) return;
  record.wrong_entries += wrong_own + wrong_others;
  const at::Tensor readers = stranger_passes.nonzero().flatten(), read = rows.other_at.index_select(0, readers);
  if (!labels.index_select(0, readers).equal(labels.index_select(0, read))) record.block_diagonal = false;
  if (record.first_wrong) return;
  const int64_t i = own_wrong.logical_or(stranger_passes).nonzero()[0].item<int64_t>();
  if (own_wrong[i].item<bool>())
    record.first_wrong = WrongEntry{k, i, i, rows.own[i].item<double>(), mine[i].item<bool>()};
  else
    record.first_wrong = WrongEntry{k, i, rows.other_at[i].item<int64_t>(), rows.other[i].item<double>(), false};
}

}  // namespace

void describe(Fields& fields, DenoiseOptions& o) {
  describe(fields, o.tokens);
  describe(fields, o.layer);
  fields.add("layers", o.layers, "layers L").min(1).max(1 << 20);
  fields.heading("Measures");
  fields.add("spectra", o.spectra, "effective ranks and coding rates too");
  fields.add("eps-squared", o.eps_squared, "distortion of the coding rates").above(0);
}

MaskRecord judge_mask(const std::vector<SoftmaxRows>& heads, const TokenSample& sample, const LayerOptions& layer) {
  MaskRecord record;
  record.block_diagonal = layer.phi == Weighting::softmax_threshold;
  const double tokens = static_cast<double>(sample.z.size(0));
  const at::Tensor labels = labels_of(sample);
  for (int64_t k = 0; k < static_cast<int64_t>(heads.size()); ++k) {
    const SoftmaxRows& rows = heads[static_cast<size_t>(k)];
    const Split own = split_rows(rows.own, sample.first_row(k), sample.cluster_sizes[static_cast<size_t>(k)]);
    const Split other = split_rows(rows.other, sample.first_row(k), own.inside.size(0));
    record.own_min = std::min(record.own_min, own.inside.min().item<double>());
    if (own.outside.size(0) > 0) record.off_max = std::max(record.off_max, at::maximum(own.outside, other.outside).max().item<double>());
    record.diagonal += own.inside.sum().item<double>() / tokens;
    record.entropy += rows.entropy.mean().item<double>() / static_cast<double>(heads.size());
    if (layer.phi == Weighting::softmax_threshold) note_wrong_rows(rows, k, labels, layer.tau, record);
  }
  record.exact = layer.phi == Weighting::softmax_threshold && record.wrong_entries == 0;
  return record;
}

void run_layers(TokenSample& sample, const DenoiseOptions& o, const std::function<bool(const LayerRecord&)>& seen) {
  TokenMeasures now = measure_tokens(sample.z, sample);
  for (int64_t layer = 1; layer <= o.layers; ++layer) {
    LayerRecord record;
    record.layer = layer;
    if (o.spectra) record.spectra = measure_spectra(sample.z, sample, o.eps_squared);
    const std::vector<SoftmaxRows> heads = apply_layer_(sample.z, sample.known, o.layer, true);
    if (!heads.empty()) record.mask = judge_mask(heads, sample, o.layer);
    record.before = now;
    record.after = now = measure_tokens(sample.z, sample);
    for (size_t k = 0; k < now.clusters.size(); ++k) {
      record.ratio.push_back(snr_ratio(record.before.clusters[k], now.clusters[k]));
      if (!std::isfinite(now.clusters[k].size))
        throw Error(ExitCode::failed, str("layer ", layer, ": tokens grow beyond float64"), "take fewer layers or a smaller step");
    }
    if (!seen(record)) return;
  }
}

int64_t count_exact_layers(const DenoiseOptions& o, uint64_t seed) {
  TokenSample sample = sample_tokens(o.tokens, seed);
  for (int64_t layer = 0; layer < o.layers; ++layer)
    if (!judge_mask(apply_layer_(sample.z, sample.known, o.layer, true), sample, o.layer).exact) return layer;
  return o.layers;
}

}  // namespace aot
