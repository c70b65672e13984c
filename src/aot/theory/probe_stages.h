// SPDX-License-Identifier: Apache-2.0
// Which weights of a run the probe looks at: from its first ones to its last.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "aot/models/language.h"

namespace aot {

struct ProbeStage {
  std::string name;        // as in the list: "0", "250", "best", "last"; "given" for a checkpoint that was named itself
  std::string checkpoint;  // folder; for "0" the one whose state tells the seed
  int64_t step = -1;       // updates done; -1: not known
  bool first = false;      // weights as they were before training: drawn again from the run's seed
  uint64_t seed = 0;       // of the run, for `first`
};

/// The stages `list` (e.g. "0,250,last") of a run folder. Of a checkpoint that is named itself: "0" when it is listed and the checkpoint
/// tells its run's seed, and the checkpoint as "given".
///   Throws UsageError for an item that is none, FileError for a step that the run has not kept, and for "0" of a run that started from
///   other weights (--init-from) or was not made by `aot train`.
std::vector<ProbeStage> probe_stages(const std::string& path, const std::string& list);

std::unique_ptr<LanguageModel> load_stage(const ProbeStage& stage);

}  // namespace aot
