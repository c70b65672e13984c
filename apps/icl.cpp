// SPDX-License-Identifier: Apache-2.0
// aot icl: functions learnt in context.
#include <algorithm>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/core/random.h"
#include "aot/eval/regression_report.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/output.h"
#include "aot/models/checkpoint.h"
#include "aot/models/summary.h"
#include "aot/train/checkpoint.h"
#include "apps/command.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

struct State {
  std::vector<std::string> models;
  std::string out;
  int64_t prompts = 1280, points = 0;
  ProblemOptions problem;
  ShiftOptions shift;
  Fields fields;
};

struct Network {
  std::string name, checkpoint;
  RegressionOptions options;
};

/// What a run was trained on stands for what is not given.
void take_settings_of_training(Fields& fields, const std::string& checkpoint) {
  if (!fs::exists(fs::path(checkpoint) / "state.json")) return;
  for (const TomlEntry& entry : read_state(checkpoint).settings)
    for (const char* key : {"problem", "sparsity", "noise", "points"})
      if (entry.key == key) fields.at(key).set(entry.value, Origin::preset, checkpoint + "/state.json");
}

/// The last part of a path, or all of it where two networks share that.
std::vector<Network> networks_of(const std::vector<std::string>& paths) {
  std::vector<Network> out;
  for (const std::string& path : paths) {
    const std::string checkpoint = find_checkpoint(path);
    out.push_back({.name = run_name(path), .checkpoint = checkpoint, .options = read_regression_options(checkpoint)});
  }
  std::vector<std::string> names;
  for (const Network& network : out) names.push_back(network.name);
  for (size_t i = 0; i < out.size(); ++i)
    if (std::count(names.begin(), names.end(), names[i]) > 1) out[i].name = paths[i];
  return out;
}

int64_t points_for(const State& state, const std::vector<Network>& networks) {
  const int64_t points = state.points > 0 ? state.points : networks.front().options.max_points;
  for (const Network& network : networks) {
    const RegressionOptions& o = network.options;
    if (o.dims != networks.front().options.dims)
      throw UsageError(str("models of ", networks.front().options.dims, " and ", o.dims, " dimensions have no prompts in common"));
    if (o.position != Position::none && points > o.max_points)
      throw UsageError(str(escaped(network.name), " has positions for ", o.max_points, " points, asked are ", points), "lower --points");
  }
  return points;
}

/// Prompts and answers are held in float32 and float64, examples and queries.
void check_room(int64_t rows, int64_t dims) {
  const double bytes = 2. * (sizeof(float) + sizeof(double)) * static_cast<double>(rows) * static_cast<double>(dims + 1);
  if (bytes > static_cast<double>(memory_limit_bytes()))
    throw UsageError("these prompts need about " + bytes_text(bytes) + " of memory", "lower --prompts or --points");
}

void evaluate(State& state, const GeneralOptions& general) {
  if (state.models.empty()) throw UsageError("icl eval needs --model RUN|CHECKPOINT");
  resolve(state.fields);
  const std::vector<Network> networks = networks_of(state.models);
  take_settings_of_training(state.fields, networks.front().checkpoint);
  const int64_t dims = networks.front().options.dims, points = points_for(state, networks);
  check_room(state.prompts * points, dims);
  const uint64_t seed = derive_seed(static_cast<uint64_t>(std::max<int64_t>(general.seed, 0)), "icl eval");
  const PromptTensors prompts = prompt_tensors(evaluation_prompts(state.problem, state.shift, dims, points, seed, state.prompts));
  const double scale = error_scale(state.problem, dims);
  const auto baselines = baselines_of(state.problem.problem, state.shift.shift == Shift::noisy ? 1 : state.problem.noise);

  Progress progress("icl eval", static_cast<double>(networks.size() + baselines.size()), "models");
  std::vector<ErrorCurve> curves;
  const auto add = [&](const std::string& name, const at::Tensor& predictions) {
    curves.push_back(error_curve(name, predictions, prompts.targets, scale, seed));
    progress.update(static_cast<double>(curves.size()));
  };
  for (const Network& network : networks) {
    const auto model = load_regression_model(network.checkpoint);
    model->to(parse_device(general.device), at::kFloat);
    add(network.name, model_predictions(*model, prompts));
  }
  for (const Baseline& baseline : baselines) add(baseline.name, baseline.predictions(prompts));
  progress.finish();

  if (!state.out.empty()) {
    make_folders(state.out);
    const std::string title =
        fmt::format("{} regression, d = {}, {} prompts", std::get<std::string>(state.fields.at("problem").value()), dims, state.prompts);
    write_file_atomically(state.out + "/errors.jsonl", curve_rows(curves));
    write_file_atomically(state.out + "/errors.md", curve_table(curves));
    write_file_atomically(state.out + "/errors.svg", curve_chart(title, curves, networks.size()));
    log_info("wrote " + escaped(state.out));
  }
  print(general.json ? curve_rows(curves) : curve_table(curves));
}

void add_icl_eval(Subcommand& command) {
  const auto state = std::make_shared<State>();
  CLI::App* app = command.app.add_subcommand("eval", "squared error against the number of examples, beside classical methods");
  app->fallthrough();
  set_examples(*app,
               "  aot icl eval --model run                              the problem that the run was trained on\n"
               "  aot icl eval --model gpt2 --model mssa --out compared one table and one picture of both\n"
               "  aot icl eval --model run --shift orthogonal-query --points 5 --json\n");
  app->add_option("--model", state->models, "run folder or checkpoint; may be given again")
      ->type_name("RUN|CHECKPOINT")
      ->allow_extra_args(false);
  Fields& fields = state->fields;
  fields.heading("Prompts");
  describe(fields, state->problem);
  describe(fields, state->shift);
  fields.add("points", state->points, "n, points of a prompt: errors after 0 .. n - 1 examples; 0: the most of the first model")
      .min(0)
      .max(1 << 19);
  fields.add("prompts", state->prompts, "prompts, the same for all models; --seed draws others").min(2).max(1 << 20);
  fields.heading("Results");
  fields.add("out", state->out, "folder for errors.jsonl, errors.md and errors.svg").metavar("FOLDER");
  fields.add_flags(*app);
  app->callback([state, &general = command.general] { evaluate(*state, general); });
}

}  // namespace

void add_icl(Subcommand& command) {
  command.app.require_subcommand(1);
  add_icl_eval(command);
}

}  // namespace aot
