// SPDX-License-Identifier: Apache-2.0
#include "aot/train/run.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/core/options_json.h"
#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/io/output.h"
#include "aot/models/checkpoint.h"
#include "aot/models/summary.h"
#include "aot/train/loop.h"
#include "aot/train/metrics.h"
#include "aot/train/trainer.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

std::string config_path(const std::string& folder) {
  return folder + "/config.toml";
}

/// A folder in which nothing was started: absent, empty, or with nothing but what a process leaves that died before its first file.
bool is_untouched(const std::string& folder) {
  if (!fs::exists(folder)) return true;
  if (!fs::is_directory(folder)) return false;
  return std::all_of(fs::directory_iterator(folder), fs::directory_iterator(), [](const fs::directory_entry& entry) {
    const std::string name = entry.path().filename().string();
    return name == ".lock" || name.rfind(".tmp-", 0) == 0;
  });
}

void refuse_used(const std::string& folder) {
  if (!is_untouched(folder)) throw UsageError("--out " + folder + " is not empty", "choose another folder, or --resume " + folder);
}

/// Refuses what cannot fit, with the numbers. Activations of bfloat16 take half of what summarize() says, layer inputs
/// excepted.
ModelSummary check_room(const RunSettings& settings, const Task& task, const std::string& folder) {
  ModelSummary summary = task.summary();
  if (settings.train.recompute)
    summary.memory.activations = summary.memory.recomputed;
  else if (settings.train.dtype == "bfloat16")
    summary.memory.activations /= 2;
  const int64_t state = state_per_parameter(settings.train.optimizer);
  summary.memory.optimizer = 4 * state * summary.parameters;
  const double batches = task.batch_bytes(), need = static_cast<double>(summary.memory.training()) + batches;
  if (const auto limit = static_cast<double>(memory_limit_bytes()); need > limit)
    throw Error(ExitCode::io,
                str("the run needs ", bytes_text(need), " of memory, ", bytes_text(batches),
                    " of it for batches, the rest for weights, gradients, moments and activations; the limit here is ", bytes_text(limit)),
                "lower --batch, --accumulate, --width or --layers, or --recompute");
  summary.memory.batches = static_cast<int64_t>(batches);
  fs::path place = fs::absolute(folder);
  while (!fs::exists(place)) place = place.parent_path();
  // The best, and one in the making, besides those kept.
  require_free_space(place.string(), static_cast<uint64_t>(4 * (1 + state) * summary.parameters * (settings.train.keep + 2)));
  return summary;
}

void announce_run(const RunRequest& request, const Task& task, const ModelSummary& summary, const MachineFacts& machine) {
  const TrainOptions& t = request.settings.train;
  log_info(fmt::format("run       {}{}", escaped(request.folder),
                       request.resume ? fmt::format(", going on from step {}", request.resume->state.step) : ""));
  log_info("data      " + task.about_data());
  log_info(fmt::format("model     {}: {} parameters", task.about_model(), summary.parameters));
  log_info(fmt::format("training  {} steps of {} {}, learning rate {:g}, {}, {} threads, path {}", t.steps,
                       units_per_step(request.settings), task_named(t.task).unit, t.schedule.lr, t.dtype, machine.threads, machine.path));
  log_info(fmt::format("memory    about {} of {}", bytes_text(static_cast<double>(summary.memory.training())),
                       bytes_text(static_cast<double>(memory_limit_bytes()))));
  log_info(fmt::format("seed      {}", t.seed));
}

/// A kill may have come between a checkpoint and its links.
void point_links(const std::string& folder, const TrainState& state) {
  const std::string checkpoints = folder + "/checkpoints";
  replace_link(checkpoints, "last", checkpoint_name(state.step));
  if (state.best && fs::exists(checkpoints + "/" + checkpoint_name(state.best->step)))
    replace_link(checkpoints, "best", checkpoint_name(state.best->step));
}

void save_summary(const RunSummary& summary, const TrainState& state) {
  Json json = summary_json(summary);
  json["program"] = AOT_VERSION;
  json["machine"] = {
      {"cpu", state.machine.cpu}, {"kernels", state.machine.kernels}, {"path", state.machine.path}, {"threads", state.machine.threads}};
  json["settings"] = settings_json(state.settings);
  write_file_atomically(summary.folder + "/summary.json", dump_json(json, 2) + "\n");
}

}  // namespace

Json summary_json(const RunSummary& summary) {
  Json json = {{"finished", summary.finished},
               {"step", summary.step},
               {summary.unit, summary.units},
               {"loss", summary.loss ? Json(*summary.loss) : Json(nullptr)},
               {"seconds", summary.seconds},
               {summary.unit + "_per_s", summary.units_per_s},
               {"data_wait", summary.data_wait},
               {"parameters", summary.parameters},
               {"seed", summary.seed},
               {"run", summary.folder},
               {"checkpoint", summary.checkpoint}};
  json["best_val_loss"] = summary.best ? Json(summary.best->loss) : Json(nullptr);
  json["best_step"] = summary.best ? Json(summary.best->step) : Json(nullptr);
  json["val_loss"] = summary.val ? Json(summary.val->loss) : Json(nullptr);
  json["val_" + summary.counted] = summary.val ? summary.val->count : 0;
  if (summary.val)
    for (const auto& [name, value] : summary.val->more) json["val_" + name] = value;
  return json;
}

std::string find_run(const std::string& resume, const std::string& out) {
  if (resume != "auto") {
    if (!out.empty() && fs::path(out).lexically_normal() != fs::path(resume).lexically_normal())
      throw UsageError("--resume " + resume + " goes on in that folder; leave out --out " + out);
    return resume;
  }
  if (!out.empty()) return is_untouched(out) ? "" : out;
  std::string newest;
  fs::file_time_type newest_time;
  std::error_code missing;
  for (const fs::directory_entry& entry : fs::directory_iterator("runs", missing)) {
    std::error_code none;
    const auto time = fs::last_write_time(entry.path() / "checkpoints", none);
    if (none || (!newest.empty() && time <= newest_time)) continue;
    newest = entry.path().string();
    newest_time = time;
  }
  if (newest.empty()) throw FileError("runs", "", "holds no run to go on with", "name one: --resume RUN");
  return newest;
}

RunRequest reopen_run(const std::string& folder) {
  require_run_folder(folder);
  RunRequest request;
  request.folder = folder;
  if (is_untouched(folder) || !(fs::exists(config_path(folder)) || fs::exists(folder + "/checkpoints")))
    throw FileError(folder, "", "holds no run: neither config.toml nor checkpoints");
  request.lock = std::make_unique<FolderLock>(folder);
  remove_leftovers(folder);
  remove_leftovers(folder + "/checkpoints");
  request.resume = find_resume_point(folder);
  if (request.resume) return request;
  std::error_code none;
  if (const auto rows = fs::file_size(folder + "/metrics.jsonl", none); !none && rows > 0)
    throw FileError(folder, "", "has trained and holds no checkpoint", "start a new run in another folder");
  log_warning(escaped(folder) + " was stopped before its first checkpoint: it starts from step 0 of its config.toml");
  return request;
}

RunSummary train(RunRequest request) {
  RunSettings& settings = request.settings;
  const bool resuming = request.resume.has_value();
  if (request.folder.empty()) throw UsageError("train needs --out RUN");
  if (!request.lock) refuse_used(request.folder);
  if (resuming) take_machine(request.resume->state.machine, request.threads);

  const TaskEntry& entry = task_named(settings.train.task);
  const TaskPtr task = entry.open(settings);
  if (resuming && settings.train.seed < 0)
    throw FileError(request.resume->checkpoint + "/state.json", "key 'settings.seed'", "need 0 or more");
  if (settings.train.seed < 0) settings.train.seed = static_cast<int64_t>(fresh_seed());
  const auto seed = static_cast<uint64_t>(settings.train.seed);
  check(settings.train, resuming ? request.resume->state.horizon : planned_steps(settings));
  const ModelSummary summary = check_room(settings, *task, request.folder);

  TrainState state;
  if (resuming) {
    state = request.resume->state;
  } else {
    state.run = fmt::format("{:016x}", derive_seed(fresh_seed(), "run", fresh_seed()));
    state.horizon = planned_steps(settings);
  }
  const DataFacts data_facts = task->data();
  const MachineFacts machine = machine_facts();
  if (resuming) {
    if (settings.train.steps < state.step)
      throw UsageError(str("--steps ", settings.train.steps, " is below the ", state.step, " steps that the run has done"));
    check_same_data(settings.train.data, data_facts, state.data);
    for (const std::string& difference : machine_differences(state.machine, machine)) log_warning(difference);
  }
  state.data = data_facts;
  state.machine = machine;
  state.settings = entries_of(settings);
  announce_run(request, *task, summary, machine);

  task->make_model(seed);
  if (resuming)
    load_weights(request.resume->checkpoint, task->parameters());
  else if (!settings.train.init_from.empty())
    task->start_from(find_checkpoint(settings.train.init_from));

  task->to(request.device);
  Trainer trainer(task->parameters(), settings.train, seed, state.horizon);
  if (resuming) {
    load_optimizer(request.resume->checkpoint, trainer.optimizer(), state.step);
    point_links(request.folder, state);
  }

  if (!request.lock) {
    make_folders(request.folder);
    request.lock = std::make_unique<FolderLock>(request.folder);
    refuse_used(request.folder);  // again, now that nobody else can start one there
  }
  write_file_atomically(config_path(request.folder), toml_of(settings));
  MetricsLog log(request.folder, state.logs, entry.unit, entry.counted, request.on_row);
  const LoopResult result = train_loop({.folder = request.folder,
                                        .settings = settings,
                                        .task = *task,
                                        .trainer = trainer,
                                        .log = log,
                                        .state = state,
                                        .damaged = resuming ? request.resume->damaged : std::set<std::string>()});

  RunSummary out{.folder = request.folder,
                 .checkpoint = request.folder + "/checkpoints/" + checkpoint_name(state.step),
                 .finished = result.finished,
                 .step = state.step,
                 .units = state.units,
                 .parameters = summary.parameters,
                 .seed = seed,
                 .seconds = state.seconds,
                 .loss = result.loss,
                 .units_per_s = result.units_per_s,
                 .data_wait = result.data_wait,
                 .best = state.best,
                 .val = {},
                 .unit = entry.unit,
                 .counted = entry.counted};
  if (result.finished && task->has_validation()) {
    const AveragedWeights averaged(trainer.optimizer());
    out.val = task->evaluate();
    out.finished = out.val.has_value();  // not after a signal: the training is saved, and a resume scores it
  }
  if (out.finished) save_summary(out, state);
  return out;
}

}  // namespace aot
