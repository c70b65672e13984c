// SPDX-License-Identifier: Apache-2.0
// What a model is and costs, from its shapes alone: counts, FLOP, memory (docs/models.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aot/models/language.h"
#include "aot/models/regression.h"
#include "aot/models/vision.h"

namespace aot {

struct ParameterGroup {
  std::string name;  // "embedding", "positions", "mixers", "norms", "steps", "mlps", "dictionaries", "head"
  int64_t parameters = 0;
};

/// Predicted bytes; float32 unless a dtype says otherwise.
struct MemoryEstimate {
  int64_t weights = 0;
  int64_t gradients = 0;
  int64_t optimizer = 0;     // AdamW's two moments
  int64_t activations = 0;   // kept for backward by one batch, and one chunk of the head
  int64_t recomputed = 0;    // the same when layers keep their input only (models/recompute.h)
  int64_t batches = 0;       // of data, those made ahead included: a run knows them, summarize() does not
  int64_t decode_state = 0;  // of `batch` sequences at `tokens`

  [[nodiscard]] int64_t training() const { return weights + gradients + optimizer + activations + batches; }
  [[nodiscard]] int64_t decoding() const { return weights + decode_state; }
};

struct ModelSummary {
  int64_t parameters = 0;
  int64_t parameters_without_positions = 0;  // nanoGPT's convention, and the paper's
  std::vector<ParameterGroup> groups;
  double flop_per_token = 0;  // model FLOP of one training step at the model's context: 3 times the forward pass, nothing recomputed
  MemoryEstimate memory;
};

/// Throws UsageError when the bytes do not fit into int64. `model` may be without storage. `batch` and `tokens` are those of the memory
/// estimate; `state_dtype_bytes` is that of the decode state.
///
/// Activations are estimated by a rule: every matrix keeps its input and its output once per token. For MSSA that is norm input, norm
/// output, A and O (4 D), for MHSA 6 D, for GPT-2's MLP another 10 D: what autograd keeps.
ModelSummary summarize(const LanguageModel& model, int64_t batch, int64_t tokens, int64_t state_dtype_bytes = 4);
/// The same of a vision model, whose tokens are the patches of a picture and its class token; it has no decode state.
ModelSummary summarize(const VisionModel& model, int64_t batch);
/// The same of a model of functions for prompts of `points` points, two tokens each; it is not decoded with a state.
ModelSummary summarize(const RegressionModel& model, int64_t batch, int64_t points);

/// Memory of this machine or of its control group, whichever is smaller.
int64_t memory_limit_bytes();

}  // namespace aot
