// SPDX-License-Identifier: Apache-2.0
// Steps of a run done once more, and compared to the bit with what the run recorded (docs/train.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <c10/core/Device.h>

#include "aot/io/json.h"

namespace aot {

struct VerifyRequest {
  std::string run;      // its folder, which is only read
  int64_t from = -1;    // step of one of its checkpoints
  int64_t steps = 0;    // to repeat from there
  std::string data;     // where the run's data is now; empty: where it was
  int64_t threads = 0;  // 0: those of the run
  at::Device device = at::kCPU;
};

/// A number or a digest that is not what the run recorded.
struct Departure {
  int64_t step = 0;
  std::string place;  // "metrics.jsonl, line 12: loss", "model.safetensors: tensor 'embedding'"
  Json recorded, repeated;
};

struct ComparedCheckpoint {
  int64_t step = 0;
  int64_t tensors = 0;  // of model and optimizer
  int64_t equal = 0;
};

struct Verification {
  int64_t steps = 0;  // repeated: up to the last one that the run recorded anything of
  int64_t rows = 0;   // of the metrics, compared by loss, learning rate and norm of the gradient
  std::vector<ComparedCheckpoint> checkpoints;
  std::vector<std::string> machine;  // in what this one is not the run's, see machine_differences
  std::vector<Departure> departures;
  [[nodiscard]] bool equal() const { return departures.empty(); }
};

/// Repeats the steps after checkpoint `from` with the run's own settings, data, seeds, threads and kernels, in memory alone. Compares every
/// row of the metrics on the way, and by SHA-256 every tensor of model and optimizer in the checkpoints on the way; evaluations and samples
/// are not repeated. Nothing after a stop signal. Throws FileError for a checkpoint that is absent or damaged and for other data,
/// UsageError when the run recorded nothing about these steps.
std::optional<Verification> verify(const VerifyRequest& request);

Json verification_json(const VerifyRequest& request, const Verification& done);

}  // namespace aot
