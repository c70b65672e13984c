// SPDX-License-Identifier: Apache-2.0
// Which weights of a run the probe looks at: from its first ones to its last.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "aot/models/language.h"
#include "aot/models/vision.h"

namespace aot {

struct ProbeStage {
  std::string model;       // the path that was given
  std::string name;        // "0", "250", "best", "last"; "given" for a checkpoint whose step is not known
  std::string checkpoint;  // folder; for "0" the one whose state tells the seed
  std::string run;         // the run's random name, or the checkpoint's path when it has none
  int64_t step = -1;       // updates done; -1: not known
  bool first = false;      // weights as they were before training: drawn again from the run's seed
  uint64_t seed = 0;       // of the run, for `first`
};

/// The stages `list` (e.g. "0,250,last") of each of `models`. A run folder has all of them; a checkpoint that is named itself is one stage
/// by its step, and "0" is another when it is listed and the checkpoint tells its run's seed. Checkpoints of one run share their "0".
///   Throws UsageError for an item that is none, and for a stage of a run that is named twice: averages are over different runs. FileError
///   for a step that the run has not kept, and for "0" of a run that started from other weights (--init-from) or was not made by `aot
///   train`.
std::vector<ProbeStage> probe_stages(const std::vector<std::string>& models, const std::string& list);

/// The weights of a stage. Throws FileError as `load_model` does, also for a model of the other task.
std::unique_ptr<LanguageModel> load_stage(const ProbeStage& stage);
std::unique_ptr<VisionModel> load_vision_stage(const ProbeStage& stage);

}  // namespace aot
