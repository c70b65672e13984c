// SPDX-License-Identifier: Apache-2.0
// Does the paper's theorem hold on this sample? Its hypotheses one by one, and a verdict on every layer.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "aot/theory/denoise.h"
#include "aot/theory/predictor.h"

namespace aot {

enum class Verdict {
  verified,           // the mask is exact and every cluster's ratio is the theorem's
  rate_without_mask,  // every ratio is, but the mask is not exact
  broken,             // some ratio is not
};

const char* verdict_text(Verdict verdict);

/// One hypothesis of Theorem 3.1 on this sample.
struct Hypothesis {
  std::string name;  // e.g. "jointly orthonormal bases"
  bool holds = true;
  std::string found;  // e.g. "largest |U_j^T U_k| 0.17"
};

struct LayerVerdict {
  LayerRecord record;
  Verdict verdict = Verdict::broken;
  double ratio_error = 0;  // largest |ratio - gamma| over clusters
};

struct Certificate {
  uint64_t seed = 0;
  double gamma = 1;  // what every ratio should be
  std::vector<Hypothesis> hypotheses;
  Prediction prediction;
  double orthonormality = 0, incoherence = 0;  // of the operator's bases
  double label_agreement = 1;
  std::vector<int64_t> cluster_sizes;
  std::vector<LayerVerdict> layers;

  /// Leading layers with an exact mask, and leading layers verified.
  [[nodiscard]] int64_t exact_layers() const;
  [[nodiscard]] int64_t verified_layers() const;
};

/// Throws UsageError, printing the bound, unless p > (32/9) ln N and tau lies in (1/2, 1 / (1 + N exp(-9 p / 32))].
/// Returns what is worth a warning about p, or nothing: the window is necessary, far from sufficient.
std::string require_window(const DenoiseOptions& options);

/// Judges a layer's record: ratios against gamma within ratio_tolerance, the mask as it says.
LayerVerdict judge_layer(LayerRecord record, double gamma);

/// Runs the layers of one sample and judges each. Settings outside the window run too: what is refused is decided by the caller.
///   `seen` hears of each layer as it is done.
Certificate certify(const DenoiseOptions& options, uint64_t seed, const std::function<void(const LayerRecord&)>& seen = {});

}  // namespace aot
