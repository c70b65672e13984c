// SPDX-License-Identifier: Apache-2.0
// aot inspect: what a preset or a checkpoint is, and what it costs.
#include <memory>

#include <fmt/format.h>

#include "aot/core/log.h"
#include "aot/io/error.h"
#include "aot/io/json.h"
#include "aot/models/checkpoint.h"
#include "aot/models/presets.h"
#include "aot/models/summary.h"
#include "apps/command.h"

namespace aot {
namespace {

struct InspectOptions {
  std::string path, preset;
  int64_t batch = 1;
  int64_t tokens = 0;  // 0: the model's context
};

void describe(Fields& fields, InspectOptions& options) {
  fields.heading("What to inspect");
  fields.add("preset", options.preset, "a named model; `aot inspect --preset list` names them").metavar("NAME");
  fields.add("batch", options.batch, "sequences in the memory estimate").min(1).max(1 << 16);
  fields.add("tokens", options.tokens, "tokens a sequence in the memory estimate; 0: the context").min(0).max(1 << 20);
}

Json as_json(const ModelSummary& summary, const LanguageModel& model) {
  Json groups = Json::object();
  for (const ParameterGroup& group : summary.groups) groups[group.name] = group.parameters;
  Json shapes = Json::object();
  for (const Parameter& parameter : model.parameters()) shapes[parameter.name] = parameter.value.sizes().vec();
  const MemoryEstimate& memory = summary.memory;
  return {{"parameters", summary.parameters},
          {"parameters_without_positions", summary.parameters_without_positions},
          {"groups", groups},
          {"flop_per_token", summary.flop_per_token},
          {"memory",
           {{"weights", memory.weights},
            {"gradients", memory.gradients},
            {"optimizer", memory.optimizer},
            {"activations", memory.activations},
            {"decode_state", memory.decode_state},
            {"training", memory.training()},
            {"decoding", memory.decoding()}}},
          {"shapes", shapes}};
}

/// One layer as Fig. 3 of the paper draws it.
std::string layer_text(const LanguageOptions& o) {
  const char* eta = o.step_size == StepSize::fixed ? (o.step_init == 1 ? "" : "eta ") : "eta ";
  const std::string norm = o.norm == NormKind::none ? "z" : o.norm == NormKind::layer ? "LayerNorm(z)" : "RMSNorm(z)";
  std::string text = fmt::format("z <- z + {}{}({})", eta, o.mixer, norm);
  if (o.block == BlockKind::mlp) text += fmt::format(";  z <- z + {}W_out gelu(W_in {})", eta, norm);
  return text;
}

std::string as_text(const ModelSummary& summary, const LanguageModel& model, int64_t batch, int64_t tokens) {
  const LanguageOptions& o = model.options();
  const MemoryEstimate& memory = summary.memory;
  const auto bytes = [](int64_t count) { return bytes_text(static_cast<double>(count)); };
  std::string out = fmt::format("layer          {}\n", layer_text(o));
  out += fmt::format("shape          {} layers, width {}, {} heads of {}, context {}, vocabulary {}\n", o.layers, o.width, o.heads,
                     o.head_dim, o.context, o.vocab_size);
  out += fmt::format("parameters     {} ({} without positions)\n", summary.parameters, summary.parameters_without_positions);
  for (const ParameterGroup& group : summary.groups) out += fmt::format("  {:<12} {}\n", group.name, group.parameters);
  out += fmt::format("training step  {} FLOP a token at context {}\n", count_text(summary.flop_per_token), o.context);
  out += fmt::format("training       about {} at batch {} of {} tokens: weights {}, gradients {}, moments {}, activations {}\n",
                     bytes(memory.training()), batch, tokens, bytes(memory.weights), bytes(memory.gradients), bytes(memory.optimizer),
                     bytes(memory.activations));
  out += fmt::format("decoding       about {} at batch {} of {} tokens: weights {}, state {}\n", bytes(memory.decoding()), batch, tokens,
                     bytes(memory.weights), bytes(memory.decode_state));
  out += "tensors\n";
  for (const Parameter& parameter : model.parameters()) {
    std::string shape;
    for (const int64_t size : parameter.value.sizes()) shape += (shape.empty() ? "" : " x ") + std::to_string(size);
    out += fmt::format("  {:<32} {}\n", parameter.name, shape);
  }
  return out;
}

std::string preset_list() {
  std::string out;
  for (const Preset& preset : presets())
    if (preset_task(preset.name) == "language") out += fmt::format("{:<22} {}\n", preset.name, preset.summary);
  return out;
}

LanguageOptions options_of(const InspectOptions& inspect, Fields& model_fields, LanguageOptions& model) {
  if (!inspect.preset.empty() && !inspect.path.empty()) throw UsageError("inspect takes a path or --preset, not both");
  if (!inspect.path.empty()) return read_model_options(find_checkpoint(inspect.path));
  if (inspect.preset.empty())
    throw UsageError("inspect needs a checkpoint, a run folder or --preset NAME", "e.g. aot inspect --preset aot-mssa-base");
  apply_preset(model_fields, inspect.preset);
  resolve(model_fields);
  if (model.vocab_size == 0) model.vocab_size = 256;  // presets for small texts take the tokenizer's; bytes stand in for it
  return model;
}

}  // namespace

void add_inspect(Subcommand& command) {
  struct State {
    InspectOptions inspect;
    LanguageOptions model;
    Fields inspect_fields, model_fields;
  };
  const auto state = std::make_shared<State>();
  describe(state->inspect_fields, state->inspect);
  describe(state->model_fields, state->model);
  set_examples(command.app,
               "  aot inspect --preset aot-mssa-base            counts, FLOP and memory of a named model\n"
               "  aot inspect run --batch 8 --tokens 1024       of a trained one, memory at that size\n"
               "  aot inspect --preset gpt2-tiny --layers 12    with a setting changed\n");
  command.app.add_option("path", state->inspect.path, "checkpoint or run folder");
  state->inspect_fields.add_flags(command.app);
  state->model_fields.add_flags(command.app);

  GeneralOptions& general = command.general;
  command.app.callback([state, &general] {
    resolve(state->inspect_fields);
    if (state->inspect.preset == "list") return print(preset_list());
    const LanguageModel model = LanguageModel::without_storage(options_of(state->inspect, state->model_fields, state->model));
    const int64_t tokens = state->inspect.tokens > 0 ? state->inspect.tokens : model.options().context;
    const ModelSummary summary = summarize(model, state->inspect.batch, tokens);
    print(general.json ? dump_json(as_json(summary, model)) + "\n" : as_text(summary, model, state->inspect.batch, tokens));
  });
}

}  // namespace aot
