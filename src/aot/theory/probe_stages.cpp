// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/probe_stages.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "aot/io/error.h"
#include "aot/models/checkpoint.h"
#include "aot/theory/lists.h"
#include "aot/train/checkpoint.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHint = "need 0 (before training), a step, best or last";

int64_t step_number(const std::string& item) {
  int64_t step = -1;
  const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), step);
  if (error != std::errc() || end != item.data() + item.size() || step < 0) throw UsageError("--steps: '" + item + "' is no step", kHint);
  return step;
}

ProbeStage first_stage(const std::string& checkpoint) {
  const TrainState state = read_state(checkpoint);
  const std::string place = (fs::path(checkpoint) / "state.json").string();
  const auto seed = value_of<int64_t>(state.settings, "seed");
  if (!seed || *seed < 0) throw FileError(place, "key 'settings.seed'", "the run's seed is not known", "leave step 0 out: --steps last");
  if (!value_of<std::string>(state.settings, "init_from").value_or("").empty())
    throw FileError(place, "key 'settings.init_from'", "the run started from other weights, step 0 cannot be drawn again", "--steps last");
  return {.name = "0", .checkpoint = checkpoint, .run = state.run, .step = 0, .first = true, .seed = static_cast<uint64_t>(*seed)};
}

bool has_state(const std::string& checkpoint) {
  return fs::exists(fs::path(checkpoint) / "state.json");
}

/// `name` empty: the step, or "given".
ProbeStage kept_stage(const std::string& name, const std::string& checkpoint) {
  ProbeStage out{.name = name.empty() ? "given" : name, .checkpoint = checkpoint, .run = fs::weakly_canonical(checkpoint).string()};
  if (!has_state(checkpoint)) return out;
  const TrainState state = read_state(checkpoint);
  out.run = state.run;
  out.step = state.step;
  if (name.empty()) out.name = std::to_string(state.step);
  return out;
}

ProbeStage stage_of_run(const std::string& run, const std::string& item) {
  if (item == "best" || item == "last") return kept_stage(item, find_checkpoint(run, item == "best"));
  const int64_t step = step_number(item);
  if (step == 0) return first_stage(find_checkpoint(run, false));
  const std::string checkpoint = (fs::path(run) / "checkpoints" / checkpoint_name(step)).string();
  if (!fs::exists(checkpoint)) throw FileError(run, "", "has not kept step " + item, "train with --save-every and --keep");
  return kept_stage(std::to_string(step), checkpoint);
}

std::vector<ProbeStage> stages_of(const std::string& model, const std::vector<std::string>& items) {
  std::vector<ProbeStage> out;
  if (find_checkpoint(model) != model) {
    for (const std::string& item : items) out.push_back(stage_of_run(model, item));
    return out;
  }
  if (std::find(items.begin(), items.end(), "0") != items.end() && has_state(model)) out.push_back(first_stage(model));
  out.push_back(kept_stage("", model));
  return out;
}

}  // namespace

std::vector<ProbeStage> probe_stages(const std::vector<std::string>& models, const std::string& list) {
  const std::vector<std::string> items = list_items(list);
  for (const std::string& item : items)
    if (item != "best" && item != "last") static_cast<void>(step_number(item));
  std::vector<ProbeStage> out;
  for (const std::string& model : models)
    for (ProbeStage& stage : stages_of(model, items)) {
      const auto same = [&](const ProbeStage& other) { return other.run == stage.run && other.name == stage.name; };
      const bool known = std::any_of(out.begin(), out.end(), same);
      if (known && !stage.first) throw UsageError(str("--model ", model, ": its stage '", stage.name, "' is named twice"));
      stage.model = model;
      if (!known) out.push_back(std::move(stage));
    }
  return out;
}

std::unique_ptr<LanguageModel> load_stage(const ProbeStage& stage) {
  if (!stage.first) return load_model(stage.checkpoint);
  return std::make_unique<LanguageModel>(read_model_options(stage.checkpoint), stage.seed);
}

std::unique_ptr<VisionModel> load_vision_stage(const ProbeStage& stage) {
  if (!stage.first) return load_vision_model(stage.checkpoint);
  return std::make_unique<VisionModel>(read_vision_options(stage.checkpoint), stage.seed);
}

}  // namespace aot
