// SPDX-License-Identifier: Apache-2.0
// All settings of a run together: what RUN/config.toml holds.
#pragma once

#include <string>
#include <vector>

#include "aot/core/options.h"
#include "aot/data/augment.h"
#include "aot/data/regression.h"
#include "aot/models/language.h"
#include "aot/models/regression.h"
#include "aot/models/vision.h"
#include "aot/train/options.h"

namespace aot {

/// Settings of the task `vision`.
struct VisionSettings {
  VisionOptions model;
  AugmentOptions augment;
  int64_t resize = 0;  // see ViewOptions
  double label_smoothing = 0;
  int64_t workers = 1;      // threads that make batches
  int64_t eval_images = 0;  // of the evaluations on the way; 0: all
};

/// Settings of the task `icl`.
struct IclSettings {
  RegressionOptions model;
  ProblemOptions problem;
  CurriculumOptions curriculum;
  int64_t eval_prompts = 1280;
};

struct RunSettings {
  TrainOptions train;
  LanguageOptions language;  // used by the task `language`; the others likewise
  VisionSettings vision;
  IclSettings icl;
};

/// Those that runs of `settings.train.task` have. Without `seed`, which is one of the command's general flags: add it by `describe_seed`
/// when the flags are made.
void describe(Fields& fields, RunSettings& settings);
void describe_seed(Fields& fields, RunSettings& settings);

/// Every setting as it stands in config.toml.
std::vector<TomlEntry> entries_of(RunSettings settings);
std::string toml_of(RunSettings settings);

/// Tokens, or whatever the task counts, that one step trains on.
int64_t units_per_step(const RunSettings& settings);
/// Steps of this run when no clock ends it.
int64_t planned_steps(const RunSettings& settings);

/// A warm-up that nobody gave (the default's or a preset's) and that is longer than the whole run becomes a tenth of it, so that a short
/// try needs no second flag. One that was given stays, to be refused.
void fit_warmup(Fields& fields, RunSettings& settings);

/// Throws UsageError, naming both values, when a setting differs from the saved one and going on with it would not be the same run.
void refuse_changes(Fields& fields, const std::vector<TomlEntry>& saved);

}  // namespace aot
