// SPDX-License-Identifier: Apache-2.0
#include "aot/train/settings.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "aot/io/error.h"
#include "aot/train/task.h"

namespace aot {
namespace {

// Budgets, cadences and places: none of them changes what a step computes. The data may move; its digest decides whether it is the same.
constexpr std::array<std::string_view, 16> kMayChange = {
    "steps", "max_tokens",   "max_minutes",   "stop_after", "log_every", "eval_every",  "eval_windows", "save_every",
    "keep",  "sample_every", "on_save_error", "data",       "tokenizer", "eval_images", "workers",      "eval_prompts"};

}  // namespace

void describe(Fields& fields, RunSettings& settings) {
  describe(fields, settings.train);
  task_named(settings.train.task).describe(fields, settings);
}

void describe_seed(Fields& fields, RunSettings& settings) {
  fields.heading("Randomness");
  fields.add("seed", settings.train.seed, "seed of everything random").min(-1);
}

std::vector<TomlEntry> entries_of(RunSettings settings) {
  Fields fields;
  describe(fields, settings);
  describe_seed(fields, settings);
  return fields.entries();
}

std::string toml_of(RunSettings settings) {
  Fields fields;
  describe(fields, settings);
  describe_seed(fields, settings);
  return fields.to_toml();
}

int64_t units_per_step(const RunSettings& settings) {
  return settings.train.batch * settings.train.accumulate * task_named(settings.train.task).units_per_row(settings);
}

int64_t planned_steps(const RunSettings& settings) {
  return planned_steps(settings.train, units_per_step(settings));
}

void fit_warmup(Fields& fields, RunSettings& settings) {
  int64_t& warmup = settings.train.schedule.warmup;
  const int64_t steps = planned_steps(settings);
  if (fields.at("warmup").origin <= Origin::preset && warmup > steps) warmup = steps / 10;
}

void refuse_changes(Fields& fields, const std::vector<TomlEntry>& saved) {
  for (const TomlEntry& entry : saved) {
    if (std::find(kMayChange.begin(), kMayChange.end(), entry.key) != kMayChange.end()) continue;
    const Field& field = fields.at(entry.key);
    if (field.value() != entry.value)
      throw UsageError(str(field.name, " of the run is ", toml_text(entry.value), ", given is ", toml_text(field.value())),
                       "leave it out to go on, or start a new run with --init-from");
  }
}

}  // namespace aot
