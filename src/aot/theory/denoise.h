// SPDX-License-Identifier: Apache-2.0
// Layers of the paper on its own tokens, measured one by one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "aot/core/options.h"
#include "aot/theory/layer.h"
#include "aot/theory/measures.h"
#include "aot/theory/token_model.h"

namespace aot {

struct DenoiseOptions {
  TokenModelOptions tokens;
  LayerOptions layer;
  int64_t layers = 13;
  bool spectra = true;        // effective ranks and coding rates: eigenvalues of a D x D matrix each layer
  double eps_squared = 0.01;  // distortion of the coding rates; CRATE's value
};

void describe(Fields& fields, DenoiseOptions& options);

/// An entry of some head's weights that differs from the pattern that the theorem's rate stands for: tau on the diagonal of the own
/// cluster, 0 elsewhere.
struct WrongEntry {
  int64_t head = 0, query = 0, key = 0;
  double probability = 0;  // of the softmax before the threshold
  bool missing = false;    // an own token that did not pass, rather than a stranger that did
};

/// What the softmax of all heads looked like. The pattern is judged for phi = threshold only; otherwise it is not exact.
struct MaskRecord {
  double own_min = 1;           // least W_k[i, i] over k and i in C_k; must exceed tau
  double off_max = 0;           // largest W_k[i, j] over k, i not in C_k and all j; must not exceed tau
  bool exact = false;           // phi = tau I on the own cluster, 0 elsewhere
  bool block_diagonal = false;  // weaker: no entry that passes joins two clusters
  int64_t wrong_entries = 0;    // exact for tau >= 1/2; for smaller ones at most one stranger is counted in each row
  std::optional<WrongEntry> first_wrong;
  double diagonal = 0;  // mean of W_k[i, i] over i in C_k
  double entropy = 0;   // mean over heads and queries, nats
};

/// Layer l maps Z^(l) to Z^(l+1); Z^(1) is the input.
struct LayerRecord {
  int64_t layer = 1;
  std::optional<MaskRecord> mask;  // when phi has a softmax
  TokenMeasures before, after;     // of Z^(l) and Z^(l+1)
  std::vector<double> ratio;       // SNR_k^(l+1) / SNR_k^(l)
  std::optional<Spectra> spectra;  // of Z^(l)
};

/// Runs the layers on `sample`, calling `seen` after each; `seen` returns false to stop. Throws Error when tokens grow beyond float64.
void run_layers(TokenSample& sample, const DenoiseOptions& options, const std::function<bool(const LayerRecord&)>& seen);

/// Judges the softmax of all heads against the pattern. REQUIRES: one entry of `heads` for each cluster, with statistics.
MaskRecord judge_mask(const std::vector<SoftmaxRows>& heads, const TokenSample& sample, const LayerOptions& layer);

/// How many leading layers have an exact mask, by running them without other measures; at most `options.layers`.
int64_t count_exact_layers(const DenoiseOptions& options, uint64_t seed);

}  // namespace aot
