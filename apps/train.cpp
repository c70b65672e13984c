// SPDX-License-Identifier: Apache-2.0
// aot train: a model on prepared data, by task.
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/models/checkpoint.h"
#include "aot/models/presets.h"
#include "aot/train/run.h"
#include "apps/command.h"
#include "apps/task_flags.h"

namespace aot {
namespace {

/// Where a run lives and starts: not settings of the run itself.
struct Invocation {
  std::string out, resume, config;
};

void describe(Fields& fields, Invocation& invocation) {
  fields.heading("Run");
  fields.add("out", invocation.out, "run folder to make; it must be empty or absent").metavar("RUN");
  fields.add("resume", invocation.resume, "go on with this run; auto: that of --out, else the newest below ./runs").metavar("RUN|auto");
  fields.add("config", invocation.config, "settings as TOML, key = value").metavar("FILE");
}

/// The settings of runs of one task, and their flags.
struct TaskSettings {
  RunSettings settings;
  Fields fields;
};

struct State {
  Invocation invocation;
  Fields invocation_fields;
  TaskFlags flags;
  std::vector<TaskSettings> tasks;  // as tasks() lists them
};

/// A setting that decides where others come from: as a flag, the environment or the configuration file gives it.
std::string early_setting(const TaskFlags& flags, const std::string& config, const std::string& name, const std::string& key) {
  const std::string text = flags.text(name);
  return !text.empty() || config.empty() ? text : value_of<std::string>(read_toml(config), key).value_or("");
}

/// What a run starts from besides flags.
struct Start {
  std::string config, preset, init_from;
  const ResumePoint* resume = nullptr;
};

/// The task is that of the run, as given, or that of what the run starts from.
TaskSettings& chosen_task(State& state, const Start& start) {
  std::string name;
  if (start.resume != nullptr)
    name = value_of<std::string>(start.resume->state.settings, "task").value_or("");
  else
    name = early_setting(state.flags, start.config, "task", "task");
  if (name.empty() && !start.preset.empty()) name = preset_task(start.preset);
  if (name.empty() && !start.init_from.empty()) name = read_model_task(start.init_from);
  if (name.empty()) name = tasks().front().name;
  return state.tasks[static_cast<size_t>(&task_named(name) - tasks().data())];
}

/// Finds the run to go on with, if one is asked for, and settles every setting.
RunRequest settle(State& state, const GeneralOptions& general) {
  const Invocation& invocation = state.invocation;
  RunRequest request;
  if (!invocation.resume.empty()) {
    if (!invocation.config.empty()) throw UsageError("--resume takes the settings of the run; leave out --config");
    const std::string folder = find_run(without_slash_at_end(invocation.resume), without_slash_at_end(invocation.out));
    if (folder.empty())
      log_info("nothing to resume in " + escaped(invocation.out) + ": a new run starts");
    else
      request = reopen_run(folder);
  }
  Start start{.config = invocation.config};
  if (request.folder.empty())
    request.folder = without_slash_at_end(invocation.out);
  else if (const std::string saved = request.folder + "/config.toml"; std::filesystem::exists(saved))
    start.config = saved;
  if (request.resume) {
    start.resume = &*request.resume;
  } else {
    start.preset = early_setting(state.flags, start.config, "preset", "preset");
    start.init_from = early_setting(state.flags, start.config, "init-from", "init_from");
    if (!start.init_from.empty()) start.init_from = find_checkpoint(start.init_from);
  }

  auto& [settings, fields] = chosen_task(state, start);
  if (request.resume) {
    fields.set_from(request.resume->state.settings, Origin::preset, request.resume->checkpoint + "/state.json");
  } else {
    if (!start.preset.empty()) apply_preset(fields, start.preset, settings.train.task);
    if (!start.init_from.empty()) task_named(settings.train.task).set_model(fields, start.init_from);
  }
  resolve(fields, start.config);
  state.flags.set(fields, settings.train.task);
  if (general.seed >= 0) fields.at("seed").set(Value(general.seed), Origin::flag, "--seed");
  if (request.resume)
    refuse_changes(fields, request.resume->state.settings);
  else
    fit_warmup(fields, settings);
  request.settings = settings;
  request.threads = general.threads;
  request.device = parse_device(general.device);
  if (general.json) request.on_row = [](const std::string& line) { print(line); };
  return request;
}

std::string text_of(const RunSummary& summary) {
  std::string out =
      fmt::format("{} at step {} in {}", summary.finished ? "finished" : "stopped", summary.step, duration_text(summary.seconds));
  if (summary.loss)
    out += fmt::format(": {} {}/s, {:.1f} % of the time waiting for data, loss {:.4f}", count_text(summary.units_per_s), summary.unit,
                       100 * summary.data_wait, *summary.loss);
  out += "\n";
  if (summary.best) out += fmt::format("best validation loss on the way {:.4f} at step {}\n", summary.best->loss, summary.best->step);
  if (summary.val) {
    out += fmt::format("validation loss {:.4f}", summary.val->loss);
    for (const auto& [name, value] : summary.val->more) out += fmt::format(", {} {:.4f}", name, value);
    out += fmt::format(" over all {} {}\n", summary.val->count, summary.counted);
  }
  return out + fmt::format("checkpoint {}\n", escaped(summary.checkpoint));
}

}  // namespace

void add_train(Subcommand& command) {
  const auto state = std::make_shared<State>();
  describe(state->invocation_fields, state->invocation);
  for (const TaskEntry& entry : tasks()) {
    TaskSettings& task = state->tasks.emplace_back();
    task.settings.train.task = entry.name;
  }
  std::vector<std::pair<std::string, Fields*>> described;
  for (TaskSettings& task : state->tasks) {  // whose addresses no longer change
    describe(task.fields, task.settings);
    described.emplace_back(task.settings.train.task, &task.fields);
  }
  set_examples(command.app,
               "aot train --data text --out run                          the defaults: MSSA with 0.8 M parameters\n"
               "aot train --data text --out run --preset gpt2-tiny       named settings\n"
               "aot train --data text --out run --width 128 --steps 500  and any of them changed\n"
               "aot train --data digits --out run --preset aot-mssa-v-digits  a model of pictures: --task vision\n"
               "aot train --out run --preset icl-mssa-small --problem linear       functions in context: --task icl\n"
               "aot train --resume run                                   go on exactly where it stopped\n"
               "aot train --resume run --steps 4000                      and further, the schedule as it was\n");
  state->invocation_fields.add_flags(command.app);
  state->flags.add(command.app, described);
  for (TaskSettings& task : state->tasks) describe_seed(task.fields, task.settings);

  const GeneralOptions& general = command.general;
  command.app.callback([state, &general] {
    catch_stop_signals();
    resolve(state->invocation_fields);
    const RunSummary summary = train(settle(*state, general));
    if (stop_signal() != 0)
      log_info(fmt::format("stopped by a signal after step {}; go on with: aot train --resume {}", summary.step, escaped(summary.folder)));
    print(general.json ? dump_json(summary_json(summary)) + "\n" : text_of(summary));
  });
}

}  // namespace aot
