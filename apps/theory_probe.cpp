// SPDX-License-Identifier: Apache-2.0
// aot theory probe: what the layers of trained models do to the signal-to-noise ratio of real tokens.
#include <memory>

#include "aot/core/atomic.h"
#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/io/error.h"
#include "aot/io/output.h"
#include "aot/theory/probe_report.h"
#include "aot/theory/probe_stages.h"
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
    const auto model = load_stage(stage);
    static_cast<void>(probed_subspaces(*model, 0));  // refused before the text is read
    model->to(parse_device(general.device), at::kFloat);
    const auto text = open_text(state.text, stage.checkpoint, model->options().vocab_size);
    const auto done = static_cast<double>(result.stages.size());
    result.stages.push_back(
        {stage.model, stage.name, stage.step,
         probe_model(*model, text->source, state.options, result.seed, [&](double share) { progress.update(done + share); })});
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
  CLI::App* app = command.app.add_subcommand("probe", "SNR by layer in trained models, on real text, beside two baselines");
  app->fallthrough();
  set_examples(*app,
               "  aot theory probe --model run --data data --out probe\n"
               "  aot theory probe --model run-1 --model run-2 --model run-3 --data data --steps 0,500,last --out probe --seed 1\n");
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
