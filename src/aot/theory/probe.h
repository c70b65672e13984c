// SPDX-License-Identifier: Apache-2.0
// What the layers of a given model do to the signal-to-noise ratio of real tokens, of text or of pictures, beside two baselines without
// meaning.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/core/options.h"
#include "aot/eval/picture_batches.h"
#include "aot/eval/token_source.h"
#include "aot/models/language.h"
#include "aot/models/vision.h"
#include "aot/theory/fits.h"
#include "aot/theory/probe_measures.h"

namespace aot {

struct ProbeOptions {
  int64_t tokens = 16384;     // read in windows of the model's context, evenly spread over the text; or the first so many of pictures
  int64_t draws = 8;          // random bases a layer, and at most so many other layers' bases
  double eps_squared = 0.01;  // distortion of the coding rates; CRATE's value
};

void describe(Fields& fields, ProbeOptions& options);

/// SNR before a layer and its growth by the layer under bases that have nothing to do with it: one value a draw.
struct ProbeBaseline {
  std::vector<double> snr, growth;
};

struct ProbedHead {
  int64_t tokens = 0;  // that belong to it
  ClusterMeasures before, after;
  double effective_rank = 0;  // of its tokens inside its subspace, before
  double own_mass = 0, entropy = 0;
};

/// One layer. Everything is of the tokens that enter it unless it says otherwise; `after` are the tokens that leave the block.
struct ProbedLayer {
  std::vector<ProbedHead> heads;
  ClusterMeasures before, after;   // all heads together
  ProbeBaseline random, shuffled;  // random bases of the same shape; bases of other layers (empty in a model of one layer)
  HeadOverlap overlap, random_overlap;
  double token_norm = 0;      // root of the mean square of |z_i|
  double step_share = 0;      // |z after - z| / |z| in Frobenius norms
  double effective_rank = 0;  // of tokens at unit length, as are the rates
  double coding_rate = 0, coding_rate_subspaces = 0, coding_rate_subspaces_after = 0;
  /// Cosine between the change of the tokens and minus the gradient of R^c, both at unit tokens of one window, mean over windows; `across`
  /// after what lies along each token is taken out of both; `random` for random bases in place of the layer's.
  double gradient_cosine = 0, gradient_cosine_across = 0, gradient_cosine_across_random = 0;
  double own_mass = 0, entropy = 0;  // means over heads
};

/// The shape of a model of any task, as far as the probe needs it.
struct ProbedShape {
  std::string mixer;
  Output output = Output::untied;
  int64_t width = 0, layers = 0, heads = 0, head_dim = 0;
  std::string settings;  // all of them, as TOML
};

template <class Options>
ProbedShape shape_of(const Options& o) {
  return {o.mixer, o.output, o.width, o.layers, o.heads, o.head_dim, describe_as_toml(o)};
}

/// A window is a stretch of text or a picture: the tokens that attention mixes.
struct ModelProbe {
  ProbedShape model;
  int64_t tokens = 0, windows = 0;
  double chance_snr = 0;
  double own_mass_uniform = 0, entropy_uniform = 0;  // if every token weighed all that it may read alike
  std::vector<ProbedLayer> layers;
};

/// The subspaces of a layer's heads, orthonormal: U_k of mssa; of mhsa those that its values are read from, the columns of W_v.
///   Throws UsageError for a mixer without either, and where P >= D: such a subspace leaves no noise.
Subspaces probed_subspaces(const ProbedShape& shape, const Block& block);

/// Reads `source` in windows. Memory is that of one batch and L + 1 matrices of (D, D).   progress: share done, may be empty.
///   Throws UsageError as above and for a text of fewer than two tokens, Error `non-finite` when activations are.
ModelProbe probe_model(const LanguageModel& model, const TokenSource& source, const ProbeOptions& options, uint64_t seed,
                       const std::function<void(double share)>& progress = {});
/// The same on pictures, each a window of its patches and its class token: the first ones of `split`, read as `reading` says but for its
/// batch and limit.   Throws as `for_each_batch` does, and Error when a signal asked for a stop.
ModelProbe probe_model(const VisionModel& model, const ImageSplit& split, PictureReading reading, const ProbeOptions& options,
                       uint64_t seed, const std::function<void(double share)>& progress = {});

/// How the growth S_after - S_before of the SNR depends on S_before over the layers of a stack.
///   [the law of a pre-normalised layer whose mask is exact, kappa S / sqrt(S^2 + b): docs/theory.md]
struct GrowthLaws {
  Fit prenorm, ratio, constant;
  double size = 0;         // root mean square of the growth: what "no change" misses by
  double mean_square = 0;  // of S_before: b is searched between 1e-4 and 1e4 of it
};

/// `before` and `growth` by layer. REQUIRES: as many of both, at least one.
GrowthLaws fit_growth(const std::vector<double>& before, const std::vector<double>& growth);

}  // namespace aot
