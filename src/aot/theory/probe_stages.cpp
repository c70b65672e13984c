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

template <class T>
const T* setting(const TrainState& state, const char* key) {
  for (const TomlEntry& entry : state.settings)
    if (entry.key == key) return std::get_if<T>(&entry.value);
  return nullptr;
}

int64_t step_number(const std::string& item) {
  int64_t step = -1;
  const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), step);
  if (error != std::errc() || end != item.data() + item.size() || step < 0) throw UsageError("--steps: '" + item + "' is no step", kHint);
  return step;
}

ProbeStage first_stage(const std::string& checkpoint) {
  const TrainState state = read_state(checkpoint);
  const std::string place = (fs::path(checkpoint) / "state.json").string();
  const auto* seed = setting<int64_t>(state, "seed");
  if (seed == nullptr || *seed < 0)
    throw FileError(place, "key 'settings.seed'", "the run's seed is not known", "leave step 0 out: --steps last");
  if (const auto* origin = setting<std::string>(state, "init_from"); origin != nullptr && !origin->empty())
    throw FileError(place, "key 'settings.init_from'", "the run started from other weights, step 0 cannot be drawn again", "--steps last");
  return {.name = "0", .checkpoint = checkpoint, .step = 0, .first = true, .seed = static_cast<uint64_t>(*seed)};
}

ProbeStage kept_stage(const std::string& name, const std::string& checkpoint) {
  const bool has_state = fs::exists(fs::path(checkpoint) / "state.json");
  return {.name = name, .checkpoint = checkpoint, .step = has_state ? read_state(checkpoint).step : -1};
}

}  // namespace

std::vector<ProbeStage> probe_stages(const std::string& path, const std::string& list) {
  const std::vector<std::string> items = list_items(list);
  for (const std::string& item : items)
    if (item != "best" && item != "last") static_cast<void>(step_number(item));
  const std::string found = find_checkpoint(path), folder = (fs::path(path) / "checkpoints").string();
  std::vector<ProbeStage> out;
  if (found == path) {
    if (std::find(items.begin(), items.end(), "0") != items.end() && fs::exists(fs::path(path) / "state.json"))
      out.push_back(first_stage(path));
    out.push_back(kept_stage("given", path));
    return out;
  }
  for (const std::string& item : items) {
    if (item == "best" || item == "last") {
      out.push_back(kept_stage(item, find_checkpoint(path, item == "best")));
      continue;
    }
    if (item == "0") {
      out.push_back(first_stage(find_checkpoint(path, false)));
      continue;
    }
    const std::string checkpoint = (fs::path(folder) / checkpoint_name(step_number(item))).string();
    if (!fs::exists(checkpoint)) throw FileError(path, "", "has not kept step " + item, "train with --save-every and --keep");
    out.push_back(kept_stage(item, checkpoint));
  }
  return out;
}

std::unique_ptr<LanguageModel> load_stage(const ProbeStage& stage) {
  if (!stage.first) return load_model(stage.checkpoint);
  return std::make_unique<LanguageModel>(read_model_options(stage.checkpoint), stage.seed);
}

}  // namespace aot
