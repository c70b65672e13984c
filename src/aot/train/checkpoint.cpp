// SPDX-License-Identifier: Apache-2.0
#include "aot/train/checkpoint.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "aot/core/atomic.h"
#include "aot/core/log.h"
#include "aot/core/non_finite.h"
#include "aot/core/options_json.h"
#include "aot/core/tensor_file.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/manifest.h"
#include "aot/io/output.h"
#include "aot/models/checkpoint.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

// 1: without the path of the kernels; 2: `tokens` in place of `units`, no events; 3: `best` without count
constexpr int64_t kStateFormat = 4;
constexpr const char* kPrefix = "step-";

std::string checkpoints_of(const std::string& run) {
  return run + "/checkpoints";
}

struct Named {
  int64_t step;
  std::string name;
};

/// The checkpoint folders of a run, newest first, whole or not.
std::vector<Named> checkpoint_folders(const std::string& run) {
  std::vector<Named> out;
  std::error_code missing;
  for (const fs::directory_entry& entry : fs::directory_iterator(checkpoints_of(run), missing)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(kPrefix, 0) != 0 || entry.is_symlink()) continue;
    const std::string digits = name.substr(std::string_view(kPrefix).size());
    if (digits.empty() || digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos) continue;
    out.push_back({std::stoll(digits), name});
  }
  std::sort(out.begin(), out.end(), [](const Named& a, const Named& b) { return a.step > b.step; });
  return out;
}

/// The state of a checkpoint, every file of which is checked. Throws FileError.
TrainState whole_state(const std::string& path, int64_t step) {
  const Manifest manifest = verify_checkpoint(path);
  TrainState state = read_state(path);
  if (state.step != step) throw FileError(path, "", str("bad step: its state.json says ", state.step));
  if (json_text(manifest.facts, "run", path) != state.run) throw FileError(path, "", "manifest and state.json are of another run");
  return state;
}

void refuse_non_finite(const Parameters& tensors, int64_t step) {
  for (const Parameter& tensor : tensors)
    if (first_non_finite(tensor.value) >= 0)
      throw NonFiniteError(str("step ", step, ": '", tensor.name, "' holds a NaN or an infinity; not saved"));
}

Json machine_json(const MachineFacts& machine) {
  return {{"cpu", machine.cpu}, {"kernels", machine.kernels}, {"path", machine.path}, {"threads", machine.threads}};
}

Json facts_json(const TrainState& state) {
  Json facts = {{"program", AOT_VERSION}, {"run", state.run}};
  facts.update(machine_json(state.machine));
  facts["settings_sha256"] = sha256_hex(dump_json(settings_json(state.settings)));
  facts["tokenizer_sha256"] = state.data.tokenizer_sha256;
  facts["train_sha256"] = state.data.train_sha256;
  facts["val_sha256"] = state.data.val_sha256;
  return facts;
}

}  // namespace

void check_same_data(const std::string& path, const DataFacts& now, const DataFacts& of_run) {
  const auto compare = [&path](const char* what, const std::string& found, const std::string& needed) {
    if (found != needed)
      throw FileError(
          path, "",
          str("digest mismatch: ", what, " is not the one of the run (found ", found.substr(0, 16), ", need ", needed.substr(0, 16), ")"));
  };
  compare("the training data", now.train_sha256, of_run.train_sha256);
  compare("the validation data", now.val_sha256, of_run.val_sha256);
  if (now.tokenizer_sha256 != of_run.tokenizer_sha256) throw FileError(path, "", "another tokenizer than that of the run");
}

std::string state_text(const TrainState& state) {
  Json best = nullptr;
  if (state.best) best = {{"step", state.best->step}, {"val_loss", state.best->loss}, {"count", state.best->count}};
  const Json json = {
      {"format", kStateFormat},
      {"run", state.run},
      {"step", state.step},
      {"units", state.units},
      {"evaluated", state.evaluated},
      {"seconds", state.seconds},
      {"data",
       {{"next_step", state.next_data},
        {"train_sha256", state.data.train_sha256},
        {"val_sha256", state.data.val_sha256},
        {"tokenizer_sha256", state.data.tokenizer_sha256}}},
      {"schedule", {{"horizon", state.horizon}}},
      {"best", best},
      {"logs", {{"metrics.jsonl", state.logs.jsonl}, {"metrics.csv", state.logs.csv}, {"events", state.logs.events}}},
      {"machine", machine_json(state.machine)},
      {"settings", settings_json(state.settings)},
  };
  return dump_json(json, 2) + "\n";
}

TrainState read_state(const std::string& checkpoint) {
  const std::string path = checkpoint + "/state.json";
  const Json json = parse_json(read_file(path, JsonLimits().bytes), path);
  const auto member_object = [&](const char* key) -> const Json& {
    const Json& member = json_member(json, key, path);
    if (!member.is_object()) throw FileError(path, str("key '", key, "'"), "need an object");
    return member;
  };
  const auto count = [&path](const Json& object, const char* key) { return json_integer(object, key, path, 0, INT64_MAX); };
  const int64_t format = json_format(json, kStateFormat, path);

  TrainState state;
  state.run = json_text(json, "run", path);
  state.step = count(json, "step");
  state.units = count(json, format >= 3 ? "units" : "tokens");
  state.evaluated = count(json, "evaluated");
  state.seconds = json_number(json, "seconds", path);
  const Json& data = member_object("data");
  state.next_data = count(data, "next_step");
  state.data = {json_text(data, "train_sha256", path), json_text(data, "val_sha256", path), json_text(data, "tokenizer_sha256", path)};
  state.horizon = count(member_object("schedule"), "horizon");
  if (const Json& best = json_member(json, "best", path); !best.is_null())
    state.best = BestLoss{count(best, "step"), json_number(best, "val_loss", path), format >= 4 ? count(best, "count") : 0};
  const Json& logs = member_object("logs");
  state.logs = {static_cast<uint64_t>(count(logs, "metrics.jsonl")), static_cast<uint64_t>(count(logs, "metrics.csv")),
                format >= 3 ? static_cast<uint64_t>(count(logs, "events")) : 0};
  const Json& machine = member_object("machine");
  state.machine = {json_text(machine, "cpu", path), json_text(machine, "kernels", path),
                   format >= 2 ? json_text(machine, "path", path) : "", json_integer(machine, "threads", path, 1, 1 << 20)};
  state.settings = json_settings(member_object("settings"), path);
  if (state.next_data != state.step)
    throw FileError(path, "key 'data'", str("next_step does not follow step ", state.step, " (found ", state.next_data, ")"));
  return state;
}

std::string checkpoint_name(int64_t step) {
  return fmt::format("{}{:08}", kPrefix, step);
}

void save_checkpoint(const std::string& run, const std::function<void(AtomicFolder&)>& save_model, Optimizer& optimizer,
                     const TrainState& state) {
  const AveragedWeights averaged(optimizer);
  const Parameters rest = optimizer.state();
  refuse_non_finite(optimizer.parameters(), state.step);
  refuse_non_finite(rest, state.step);
  const std::string name = checkpoint_name(state.step);
  make_folders(checkpoints_of(run));
  AtomicFolder folder(checkpoints_of(run), name);
  save_model(folder);
  save_tensors(folder, "optimizer.safetensors", rest,
               {{"optimizer", std::string(name_of(optimizer.rule()))}, {"step", std::to_string(optimizer.steps())}});
  folder.add_text("state.json", state_text(state));
  Manifest manifest;
  manifest.step = state.step;
  manifest.facts = facts_json(state);
  folder.commit(std::move(manifest));
  replace_link(checkpoints_of(run), "last", name);
}

void load_optimizer(const std::string& checkpoint, Optimizer& optimizer, int64_t step) {
  const SafetensorsFile file(checkpoint + "/optimizer.safetensors");
  const auto saved_step = file.metadata().find("step");
  if (saved_step == file.metadata().end() || saved_step->second != std::to_string(step))
    throw FileError(file.path(), "", str("bad step: state.json is of step ", step));
  const auto rule = file.metadata().find("optimizer");  // absent from old ones
  const std::string saved_rule = rule == file.metadata().end() ? "adamw" : rule->second;
  if (saved_rule != name_of(optimizer.rule()))
    throw FileError(file.path(), "",
                    str("holds the state of another optimizer (found ", saved_rule, ", need ", name_of(optimizer.rule()), ")"),
                    "go on with that --optimizer, or start a new run with --init-from");
  const Parameters state = optimizer.state();
  load_tensors(file, state);
  for (const Parameter& tensor : state)
    if (tensor.name.ends_with(".exp_avg_sq") && tensor.value.numel() > 0 && tensor.value.min().item<double>() < 0)
      throw FileError(file.path(), "tensor '" + tensor.name + "'", "negative second moment");
  optimizer.set_steps(step);
}

void require_run_folder(const std::string& run) {
  if (!fs::is_directory(run)) throw FileError(run, "", fs::exists(run) ? "not a run folder" : "no such file", "need a run folder");
}

std::vector<int64_t> checkpoint_steps(const std::string& run) {
  std::vector<int64_t> out;
  for (const Named& folder : checkpoint_folders(run)) out.insert(out.begin(), folder.step);
  return out;
}

ResumePoint read_whole_checkpoint(const std::string& run, int64_t step) {
  std::string others;
  for (const Named& folder : checkpoint_folders(run)) {
    const std::string path = checkpoints_of(run) + "/" + folder.name;
    if (folder.step == step) return {path, whole_state(path, step), {}};
    others = str(" ", folder.step, others.empty() ? "" : ",", others);
  }
  throw FileError(run, "", str("holds no checkpoint of step ", step), others.empty() ? "" : "it has those of" + others);
}

std::optional<ResumePoint> find_resume_point(const std::string& run) {
  const std::vector<Named> folders = checkpoint_folders(run);
  std::set<std::string> damaged;
  std::string newest_problem;
  for (const Named& folder : folders) {
    const std::string path = checkpoints_of(run) + "/" + folder.name;
    try {
      return ResumePoint{path, whole_state(path, folder.step), std::move(damaged)};
    } catch (const FileError& error) {
      if (error.code != ExitCode::bad_file) throw;
      log_warning(str("skipped a damaged checkpoint: ", error.what()));
      if (damaged.empty()) newest_problem = error.what();
      damaged.insert(folder.name);
    }
  }
  if (folders.empty()) return std::nullopt;
  throw FileError(run, "", str("none of its ", folders.size(), " checkpoints is whole; the newest: ", newest_problem));
}

void remove_old_checkpoints(const std::string& run, const TrainState& state, int64_t keep, const std::set<std::string>& damaged) {
  int64_t kept = 0;
  for (const Named& folder : checkpoint_folders(run)) {
    if (folder.step > state.step || damaged.count(folder.name) != 0) continue;
    if (kept++ < keep || (state.best && state.best->step == folder.step)) continue;
    // Renamed first, so that a folder under its own name is never half removed.
    const std::string doomed = temporary_path(checkpoints_of(run), folder.name);
    std::error_code problem;
    fs::rename(fs::path(checkpoints_of(run)) / folder.name, doomed, problem);
    if (!problem) fs::remove_all(doomed, problem);
    if (problem) log_warning(str("cannot remove ", escaped(folder.name), ": ", problem.message()));
  }
}

}  // namespace aot
