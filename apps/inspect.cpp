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
#include "apps/inspect_diff.h"
#include "apps/task_flags.h"

namespace aot {
namespace {

struct InspectOptions {
  std::string path, other, preset;
  bool diff = false;
  int64_t batch = 1;
  int64_t tokens = 0;  // 0: the model's context
};

void describe(Fields& fields, InspectOptions& options) {
  fields.heading("What to inspect");
  fields.add("preset", options.preset, "a named model; `aot inspect --preset list` names them").metavar("NAME");
  fields.add("batch", options.batch, "sequences, pictures or prompts in the memory estimate").min(1).max(1 << 16);
  fields.add("diff", options.diff, "compare the tensors of two checkpoints or files; exit 1 when they differ");
  fields.add("tokens", options.tokens, "tokens a sequence in the memory estimate; 0: the context").min(0).max(1 << 20);
}

Json as_json(const ModelSummary& summary, const Parameters& parameters) {
  Json groups = Json::object();
  for (const ParameterGroup& group : summary.groups) groups[group.name] = group.parameters;
  Json shapes = Json::object();
  for (const Parameter& parameter : parameters) shapes[parameter.name] = parameter.value.sizes().vec();
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
template <class Options>
std::string layer_text(const Options& o) {
  const char* eta = o.step_size == StepSize::fixed ? (o.step_init == 1 ? "" : "eta ") : "eta ";
  const std::string norm = o.norm == NormKind::none ? "z" : o.norm == NormKind::layer ? "LayerNorm(z)" : "RMSNorm(z)";
  std::string text = fmt::format("z <- z + {}{}({})", eta, o.mixer, norm);
  const bool tanh = [&] {
    if constexpr (requires { o.activation; }) return o.activation == Activation::gelu_tanh;
    return false;
  }();
  if (o.block == BlockKind::mlp) text += fmt::format(";  z <- z + {}W_out {}(W_in {})", eta, tanh ? "gelu-tanh" : "gelu", norm);
  if (o.block == BlockKind::ista) text += fmt::format(";  z <- ISTA({})", norm);
  return text;
}

std::string bytes(int64_t count) {
  return bytes_text(static_cast<double>(count));
}

std::string counts_text(const ModelSummary& summary) {
  std::string out = fmt::format("parameters     {} ({} without positions)\n", summary.parameters, summary.parameters_without_positions);
  for (const ParameterGroup& group : summary.groups) out += fmt::format("  {:<12} {}\n", group.name, group.parameters);
  return out;
}

std::string training_text(const ModelSummary& summary, const std::string& size) {
  const MemoryEstimate& memory = summary.memory;
  return fmt::format("training       about {} at {}: weights {}, gradients {}, moments {}, activations {}\n", bytes(memory.training()),
                     size, bytes(memory.weights), bytes(memory.gradients), bytes(memory.optimizer), bytes(memory.activations));
}

std::string tensors_text(const Parameters& parameters) {
  std::string out = "tensors\n";
  for (const Parameter& parameter : parameters) {
    std::string shape;
    for (const int64_t size : parameter.value.sizes()) shape += (shape.empty() ? "" : " x ") + std::to_string(size);
    out += fmt::format("  {:<32} {}\n", parameter.name, shape);
  }
  return out;
}

std::string as_text(const ModelSummary& summary, const LanguageModel& model, int64_t batch, int64_t tokens) {
  const LanguageOptions& o = model.options();
  const MemoryEstimate& memory = summary.memory;
  const std::string size = fmt::format("batch {} of {} tokens", batch, tokens);
  return fmt::format("layer          {}\n", layer_text(o)) +
         fmt::format("shape          {} layers, width {}, {} heads of {}, context {}, vocabulary {}\n", o.layers, o.width, o.heads,
                     o.head_dim, o.context, o.vocab_size) +
         counts_text(summary) +
         fmt::format("training step  {} FLOP a token at context {}\n", count_text(summary.flop_per_token), o.context) +
         training_text(summary, size) +
         fmt::format("decoding       about {} at {}: weights {}, state {}\n", bytes(memory.decoding()), size, bytes(memory.weights),
                     bytes(memory.decode_state)) +
         tensors_text(model.parameters());
}

std::string as_text(const ModelSummary& summary, const VisionModel& model, int64_t batch) {
  const VisionOptions& o = model.options();
  const double picture_flop = summary.flop_per_token * static_cast<double>(o.tokens());
  return fmt::format("layer          {}\n", layer_text(o)) +
         fmt::format("shape          {} layers, width {}, {} heads of {}, pictures {} x {} x {}, {} classes\n", o.layers, o.width, o.heads,
                     o.head_dim, o.image_size, o.image_size, o.channels, o.classes) +
         fmt::format("tokens         {0} x {0} patches of {1} pixels{2}\n", o.image_size / o.patch, o.patch,
                     o.pooling == Pooling::class_token ? ", and a class token" : "") +
         counts_text(summary) +
         fmt::format("training step  {} FLOP a token, {} a picture\n", count_text(summary.flop_per_token), count_text(picture_flop)) +
         training_text(summary, fmt::format("batch {}", batch)) + tensors_text(model.parameters());
}

std::string as_text(const ModelSummary& summary, const RegressionModel& model, int64_t batch) {
  const RegressionOptions& o = model.options();
  return fmt::format("layer          {}\n", layer_text(o)) +
         fmt::format("shape          {} layers, width {}, {} heads of {}, {} points of {} numbers\n", o.layers, o.width, o.heads,
                     o.head_dim, o.max_points, o.dims) +
         counts_text(summary) + fmt::format("training step  {} FLOP a token\n", count_text(summary.flop_per_token)) +
         training_text(summary, fmt::format("batch {}", batch)) + tensors_text(model.parameters());
}

std::string preset_list() {
  std::string out;
  for (const Preset& preset : presets()) out += fmt::format("{:<24} {:<9} {}\n", preset.name, preset_task(preset.name), preset.summary);
  return out;
}

struct State {
  InspectOptions inspect;
  LanguageOptions language;
  VisionOptions vision;
  RegressionOptions icl;
  Fields inspect_fields, language_fields, vision_fields, icl_fields;
  TaskFlags flags;
};

std::string task_of(const InspectOptions& inspect) {
  if (!inspect.preset.empty() && !inspect.path.empty()) throw UsageError("inspect takes a path or --preset, not both");
  if (!inspect.path.empty()) return read_model_task(find_checkpoint(inspect.path));
  if (inspect.preset.empty())
    throw UsageError("inspect needs a checkpoint, a run folder or --preset NAME", "e.g. aot inspect --preset aot-mssa-base");
  return preset_task(inspect.preset);
}

/// Throws UsageError for flags that would change nothing.
void refuse_without_meaning(State& s) {
  if (s.inspect.preset.empty() || s.inspect.preset == "list")
    s.flags.refuse("only --preset NAME takes settings of a model", "those of a checkpoint are its own");
  if (!s.inspect.diff) return;
  for (const char* name : {"preset", "batch", "tokens"})
    if (s.inspect_fields.at(name).origin == Origin::flag) throw UsageError(str("--", name, " has no meaning with --diff"));
}

/// Settles the settings of a preset with what flags change in them.
void settle(State& s, Fields& fields, const std::string& task) {
  apply_preset(fields, s.inspect.preset, task);
  resolve(fields);
  s.flags.set(fields, task);
}

void show(const ModelSummary& summary, const Parameters& parameters, const std::string& text, bool json) {
  print(json ? dump_json(as_json(summary, parameters)) + "\n" : text);
}

void run_language(State& s, bool json) {
  if (s.inspect.path.empty())
    settle(s, s.language_fields, "language");
  else
    s.language = read_model_options(find_checkpoint(s.inspect.path));
  if (s.language.vocab_size == 0) s.language.vocab_size = 256;  // presets for small texts take the tokenizer's; bytes stand in for it
  const LanguageModel model = LanguageModel::without_storage(s.language);
  const int64_t tokens = s.inspect.tokens > 0 ? s.inspect.tokens : s.language.context;
  const ModelSummary summary = summarize(model, s.inspect.batch, tokens);
  show(summary, model.parameters(), as_text(summary, model, s.inspect.batch, tokens), json);
}

void run_vision(State& s, bool json) {
  if (s.inspect.tokens > 0) throw UsageError("--tokens is for language models: pictures have as many as their patches");
  if (s.inspect.path.empty())
    settle(s, s.vision_fields, "vision");
  else
    s.vision = read_vision_options(find_checkpoint(s.inspect.path));
  const VisionModel model = VisionModel::without_storage(s.vision);
  const ModelSummary summary = summarize(model, s.inspect.batch);
  show(summary, model.parameters(), as_text(summary, model, s.inspect.batch), json);
}

void run_icl(State& s, bool json) {
  if (s.inspect.tokens > 0) throw UsageError("--tokens is for language models: prompts have two for each of --max-points");
  if (s.inspect.path.empty())
    settle(s, s.icl_fields, "icl");
  else
    s.icl = read_regression_options(find_checkpoint(s.inspect.path));
  const RegressionModel model = RegressionModel::without_storage(s.icl);
  const ModelSummary summary = summarize(model, s.inspect.batch, model.options().max_points);
  show(summary, model.parameters(), as_text(summary, model, s.inspect.batch), json);
}

}  // namespace

void add_inspect(Subcommand& command) {
  const auto state = std::make_shared<State>();
  describe(state->inspect_fields, state->inspect);
  describe(state->language_fields, state->language);
  describe(state->vision_fields, state->vision);
  describe(state->icl_fields, state->icl);
  set_examples(command.app,
               "  aot inspect --preset aot-mssa-base            counts, FLOP and memory of a named model\n"
               "  aot inspect run --batch 8 --tokens 1024       of a trained one, memory at that size\n"
               "  aot inspect --preset gpt2-tiny --layers 12    with a setting changed\n"
               "  aot inspect --preset aot-mssa-v               of a vision model\n"
               "  aot inspect --diff run-a run-b                two models, tensor by tensor\n");
  command.app.add_option("path", state->inspect.path, "checkpoint or run folder");
  command.app.add_option("other", state->inspect.other, "with --diff: what to compare it with");
  state->inspect_fields.add_flags(command.app);
  state->flags.add(command.app, {{"language", &state->language_fields}, {"vision", &state->vision_fields}, {"icl", &state->icl_fields}});

  command.app.callback([state, &general = command.general] {
    resolve(state->inspect_fields);
    refuse_without_meaning(*state);
    if (state->inspect.diff) return inspect_diff(state->inspect.path, state->inspect.other, general.json);
    if (!state->inspect.other.empty()) throw UsageError("inspect takes one path, or two with --diff");
    if (state->inspect.preset == "list") return print(preset_list());
    const std::string task = task_of(state->inspect);
    if (task == "vision") return run_vision(*state, general.json);
    if (task == "icl") return run_icl(*state, general.json);
    run_language(*state, general.json);
  });
}

}  // namespace aot
