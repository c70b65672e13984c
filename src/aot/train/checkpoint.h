// SPDX-License-Identifier: Apache-2.0
// Checkpoints that a run goes on from as if it had never stopped: RUN/checkpoints/step-NNNNNNNN (docs/train.md).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "aot/core/atomic.h"
#include "aot/io/toml.h"
#include "aot/train/machine_facts.h"
#include "aot/train/metrics.h"
#include "aot/train/optimizer.h"

namespace aot {

/// What a model was trained on, by digest; empty where there is no such file.
struct DataFacts {
  std::string train_sha256, val_sha256, tokenizer_sha256;
};

/// Throws FileError about `path` (`digest mismatch`) unless the data there now is that of the run.
void check_same_data(const std::string& path, const DataFacts& now, const DataFacts& of_run);

struct BestLoss {
  int64_t step = 0;
  double loss = 0;
  int64_t count = 0;  // windows, images or prompts that it was measured on; 0: not known, in checkpoints before format 4

  /// Whether a loss over so many compares: with other settings of the evaluation than the best's it does not.
  [[nodiscard]] bool compares(int64_t others) const { return count == 0 || count == others; }
};

/// state.json: everything about a run that is neither a weight nor a moment. Random numbers are functions of (seed, purpose, index), so the
/// generators' states are the seed among the settings and the index that each will use next.
struct TrainState {
  std::string run;      // random name, the same in all checkpoints of a run
  int64_t step = 0;     // updates done
  int64_t horizon = 0;  // steps over which the schedule goes
  int64_t units = 0;    // tokens, or whatever the task counts, seen
  double seconds = 0;
  int64_t next_data = 0;  // step whose windows come next
  int64_t evaluated = 0;  // step up to which evaluations and samples are done: a signal may have put one off
  std::optional<BestLoss> best;
  LogLengths logs;
  DataFacts data;
  MachineFacts machine;
  std::vector<TomlEntry> settings;  // resolved
};

std::string state_text(const TrainState& state);
/// Throws FileError naming the member: nothing is left to a default.
TrainState read_state(const std::string& checkpoint);

/// "step-00001200".
std::string checkpoint_name(int64_t step);

/// Saves a whole checkpoint under FOLDER/checkpoints and points `last` at it; `save_model` adds the files that others read. Where the
/// optimizer keeps an average, that is the model saved, and the weights themselves are part of the optimizer's state. Refuses, with Error
/// `non-finite`, weights or moments that hold a NaN or an infinity. Throws FileError (exit 4) when it cannot be written; older checkpoints
/// stay as they are.
void save_checkpoint(const std::string& run, const std::function<void(AtomicFolder& folder)>& save_model, Optimizer& optimizer,
                     const TrainState& state);

/// Loads the optimizer's state of a checkpoint. Throws FileError for another optimizer's, and naming the tensor that is missing, of another
/// shape, or holds an impossible value.
/// REQUIRES: the optimizer was made over the checkpoint's model, which is where its average, if it keeps one, goes on from.
void load_optimizer(const std::string& checkpoint, Optimizer& optimizer, int64_t step);

/// Throws FileError when `run` is no folder.
void require_run_folder(const std::string& run);

/// The steps of the checkpoints in a run's folder, whole or not, from the first on.
std::vector<int64_t> checkpoint_steps(const std::string& run);

/// A whole checkpoint of a run.
struct ResumePoint {
  std::string checkpoint;  // path
  TrainState state;
  std::set<std::string> damaged;  // names of newer ones that are not whole, where the newest was looked for
};

/// The checkpoint of that step, every file of which is checked. Throws FileError: damage named by file and tensor, `of another run`, or
/// that there is none.
ResumePoint read_whole_checkpoint(const std::string& run, int64_t step);

/// The newest whole checkpoint of a run. Searches from the newest on and warns of each damaged one. Empty when the run has no checkpoint at
/// all.
/// Throws FileError (exit 3) when it has some and none is whole.
std::optional<ResumePoint> find_resume_point(const std::string& run);

/// Removes all but the `keep` newest checkpoints up to `state.step` and the best; damaged ones do not count and stay.
void remove_old_checkpoints(const std::string& run, const TrainState& state, int64_t keep, const std::set<std::string>& damaged);

}  // namespace aot
