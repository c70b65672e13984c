// SPDX-License-Identifier: Apache-2.0
// aot train: a language model from prepared text.
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/io/error.h"
#include "aot/models/checkpoint.h"
#include "aot/models/presets.h"
#include "aot/train/run.h"
#include "apps/command.h"

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

struct State {
  Invocation invocation;
  RunSettings settings;
  Fields invocation_fields, fields;
};

/// A setting that decides where others come from: as a flag, the environment or the configuration file gives it.
std::string early_setting(const Fields& fields, const std::string& config, const std::string& name, const std::string& key) {
  std::string text = fields.early_text(name);
  if (!text.empty() || config.empty()) return text;
  for (const TomlEntry& entry : read_toml(config))
    if (entry.key == key && std::holds_alternative<std::string>(entry.value)) text = std::get<std::string>(entry.value);
  return text;
}

/// Finds the run to go on with, if one is asked for, and settles every setting.
RunRequest settle(State& state, const GeneralOptions& general) {
  const Invocation& invocation = state.invocation;
  RunRequest request;
  if (!invocation.resume.empty()) {
    if (!invocation.config.empty()) throw UsageError("--resume takes the settings of the run; leave out --config");
    const std::string folder = find_run(invocation.resume, invocation.out);
    if (folder.empty())
      log_info("nothing to resume in " + escaped(invocation.out) + ": a new run starts");
    else
      request = reopen_run(folder);
  }
  std::string config = invocation.config;
  if (request.folder.empty())
    request.folder = invocation.out;
  else if (const std::string saved = request.folder + "/config.toml"; std::filesystem::exists(saved))
    config = saved;

  if (request.resume) {
    state.fields.set_from(request.resume->state.settings, Origin::preset, request.resume->checkpoint + "/state.json");
  } else {
    if (const std::string preset = early_setting(state.fields, config, "preset", "preset"); !preset.empty())
      apply_preset(state.fields, preset);
    if (const std::string init_from = early_setting(state.fields, config, "init-from", "init_from"); !init_from.empty())
      set_model_from_checkpoint(state.fields, find_checkpoint(init_from));
  }
  resolve(state.fields, config);
  if (general.seed >= 0) state.fields.at("seed").set(Value(general.seed), Origin::flag, "--seed");
  if (request.resume)
    refuse_changes(state.fields, request.resume->state.settings);
  else
    fit_warmup(state.fields, state.settings);
  request.settings = state.settings;
  request.threads = general.threads;
  request.device = parse_device(general.device);
  if (general.json) request.on_row = [](const std::string& line) { print(line); };
  return request;
}

std::string text_of(const RunSummary& summary) {
  std::string out =
      fmt::format("{} at step {} in {}", summary.finished ? "finished" : "stopped", summary.step, duration_text(summary.seconds));
  if (summary.loss) out += fmt::format(": {} tokens/s, loss {:.4f}", count_text(summary.tokens_per_s), *summary.loss);
  out += "\n";
  if (summary.best) out += fmt::format("best validation loss on the way {:.4f} at step {}\n", summary.best->loss, summary.best->step);
  if (summary.val_loss) out += fmt::format("validation loss {:.4f} over all {} windows\n", *summary.val_loss, summary.val_windows);
  return out + fmt::format("checkpoint {}\n", escaped(summary.checkpoint));
}

}  // namespace

void add_train(Subcommand& command) {
  const auto state = std::make_shared<State>();
  describe(state->invocation_fields, state->invocation);
  describe(state->fields, state->settings);
  set_examples(command.app,
               "aot train --data text --out run                          the defaults: MSSA with 0.8 M parameters\n"
               "aot train --data text --out run --preset gpt2-tiny       named settings\n"
               "aot train --data text --out run --width 128 --steps 500  and any of them changed\n"
               "aot train --resume run                                   go on exactly where it stopped\n"
               "aot train --resume run --steps 4000                      and further, the schedule as it was\n");
  state->invocation_fields.add_flags(command.app);
  state->fields.add_flags(command.app);
  describe_seed(state->fields, state->settings);

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
