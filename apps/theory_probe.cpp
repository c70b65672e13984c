// SPDX-License-Identifier: Apache-2.0
// aot theory probe: what the layers of trained models do to the signal-to-noise ratio of real tokens.
#include <functional>
#include <memory>

#include "aot/core/atomic.h"
#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/io/error.h"
#include "aot/io/output.h"
#include "aot/models/checkpoint.h"
#include "aot/theory/probe_report.h"
#include "aot/theory/probe_stages.h"
#include "apps/picture_input.h"
#include "apps/text_input.h"
#include "apps/theory.h"

namespace aot {
namespace {

struct State {
  std::vector<std::string> models;
  std::string out, steps = "0,last";
  TextFlags text;
  ProbeOptions options;
  Fields fields;
};

using Report = std::function<void(double share)>;

ModelProbe probe_language(const State& state, const ProbeStage& stage, uint64_t seed, const GeneralOptions& general, const Report& report) {
  const auto model = load_stage(stage);
  static_cast<void>(probed_subspaces(shape_of(model->options()), model->blocks().front()));  // refused before the text is read
  model->to(parse_device(general.device), at::kFloat);
  const auto text = open_text(state.text, stage.checkpoint, model->options().vocab_size);
  return probe_model(*model, text->source, state.options, seed, report);
}

ModelProbe probe_vision(const State& state, const ProbeStage& stage, uint64_t seed, const GeneralOptions& general, const Report& report) {
  const auto model = load_vision_stage(stage);
  model->to(parse_device(general.device), at::kFloat);
  const PictureInput pictures = open_pictures({.models = {stage.model}, .data = state.text.data}, "theory probe");
  return probe_model(*model, pictures.split(state.text.split), pictures.reading, state.options, seed, report);
}

void run(State& state, const GeneralOptions& general) {
  resolve(state.fields);
  if (state.models.empty()) throw UsageError("theory probe needs --model RUN|CHECKPOINT");
  if (state.text.data.empty()) throw UsageError("theory probe needs --data DIR|FILE");
  if (state.out.empty()) throw UsageError("theory probe needs --out FOLDER");
  const std::vector<ProbeStage> stages = probe_stages(state.models, state.steps);  // a wrong name costs no work
  if (stages.empty()) throw UsageError("theory probe: --steps names nothing to probe", "need 0 (before training), a step, best or last");
  ProbeResult result{.options = state.options, .seed = first_seed(general), .data = state.text.data, .stages = {}};
  Progress progress("probe", static_cast<double>(stages.size()), "models");
  for (const ProbeStage& stage : stages) {
    const auto done = static_cast<double>(result.stages.size());
    const auto report = [&](double share) { progress.update(done + share); };
    result.stages.push_back({stage.model, stage.name, stage.step,
                             read_model_task(stage.checkpoint) == "vision" ? probe_vision(state, stage, result.seed, general, report)
                                                                           : probe_language(state, stage, result.seed, general, report)});
  }
  progress.finish();
  const std::string json = dump_json(probe_json(result)), table = probe_markdown(result);
  make_folders(state.out);
  write_file_atomically(state.out + "/probe.json", json + "\n");
  write_file_atomically(state.out + "/probe.md", table);
  for (const auto& [name, content] : probe_pictures(result)) write_file_atomically(state.out + "/" + name, content);
  log_info("wrote " + state.out);
  print(general.json ? json + "\n" : table);
}

}  // namespace

void add_probe(Subcommand& command) {
  const auto state = std::make_shared<State>();
  CLI::App* app = command.app.add_subcommand("probe", "SNR by layer in trained models, on real text or pictures, beside two baselines");
  app->fallthrough();
  set_examples(*app,
               "  aot theory probe --model run --data data --out probe\n"
               "  aot theory probe --model run-1 --model run-2 --model run-3 --data data --steps 0,500,last --out probe --seed 1\n"
               "  aot theory probe --model vision-run --data data/digits --steps last --out probe\n");
  app->add_option("--model", state->models, "run folder or checkpoint; may be given again: runs of the same settings are averaged")
      ->type_name("RUN|CHECKPOINT")
      ->allow_extra_args(false);
  describe(state->fields, state->options);
  state->fields.add("steps", state->steps, "which weights of a run, separated by commas: 0 (before training), a kept step, best, last")
      .metavar("LIST");
  describe(state->fields, state->text);
  state->fields.add("out", state->out, "folder for the numbers (JSON), the table (Markdown) and pictures (SVG)").metavar("FOLDER");
  state->fields.add_flags(*app);
  app->callback([state, &general = command.general] { run(*state, general); });
}

}  // namespace aot
