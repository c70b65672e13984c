// SPDX-License-Identifier: Apache-2.0
// aot convert: models from other programs' files and into them.
#include "aot/interop/convert.h"

#include <malloc.h>

#include <memory>
#include <optional>

#include <fmt/format.h>

#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/io/error.h"
#include "aot/io/json.h"
#include "apps/command.h"

namespace aot {
namespace {

void describe(Fields& fields, ConvertOptions& options) {
  fields.heading("Convert");
  fields.add("from", options.from, "what SOURCE is").choices({"aot", "nanogpt", "gpt2", "transformerlens", "crate", "tost"});
  fields.add("to", options.to, "what TARGET becomes; hf: for transformers, with our Python code").choices({"aot", "hf", "gpt2", "nanogpt"});
  fields.add("dtype", options.dtype, "how weights are stored").choices({"float32", "bfloat16", "int8"});
  fields.add("heads", options.heads, "of a CRATE without a published width; 0: as published").min(0).max(1 << 18);
  fields.add("verify", options.verify, "compare logits of source and target; exit 1 when they differ by more than rounding");
}

Json as_json(const ConvertOptions& options, const Conversion& done) {
  Json out = {{"from", options.from},   {"to", options.to},        {"target", options.target},      {"task", done.task},
              {"dtype", options.dtype}, {"tensors", done.tensors}, {"parameters", done.parameters}, {"tokenizer", done.has_tokenizer}};
  if (done.difference)
    out["verify"] = {{"positions", done.difference->positions},
                     {"max_difference", done.difference->largest},
                     {"mean_difference", done.difference->mean},
                     {"max_relative", done.difference->relative()},
                     {"bound", done.bound},
                     {"top1_agreement", done.difference->top1_agreement}};
  return out;
}

std::string as_text(const ConvertOptions& options, const Conversion& done) {
  std::string out = fmt::format("{}: {} tensors, {} parameters, {}{}\n", escaped(options.target), done.tensors, done.parameters,
                                options.dtype, done.has_tokenizer || done.task == "vision" ? "" : ", no tokenizer");
  if (done.difference)
    out += fmt::format(
        "logits at {} positions: largest difference {:.3g} ({:.3g} of the largest logit, bound {:.3g}), mean {:.3g}, same top-1 {:.2f} %\n",
        done.difference->positions, done.difference->largest, done.difference->relative(), done.bound, done.difference->mean,
        100 * done.difference->top1_agreement);
  return out;
}

}  // namespace

void add_convert(Subcommand& command) {
  struct State {
    ConvertOptions options;
    Fields fields;
  };
  const auto state = std::make_shared<State>();
  describe(state->fields, state->options);
  set_examples(command.app,
               "  aot convert --from nanogpt out/ckpt.pt model --verify      a checkpoint of nanoGPT as one of ours\n"
               "  aot convert --from gpt2 gpt2-folder model                  of transformers (config.json, model.safetensors)\n"
               "  aot convert --from transformerlens attn-only-2l.pth model  attention-only models of TransformerLens\n"
               "  aot convert --from crate crate.pth model                   vision models of CRATE's code\n"
               "  aot convert --from tost out/ckpt.pt model                  language models of ToST's code\n"
               "  aot convert run --to hf exported                           a run of ours for transformers\n"
               "  aot convert run --to nanogpt ckpt.pt                       a model of GPT-2's kind for nanoGPT\n");
  command.app.add_option("source", state->options.source, "checkpoint, run folder or file");
  command.app.add_option("target", state->options.target, "folder or file that does not exist yet");
  state->fields.add_flags(command.app);

  GeneralOptions& general = command.general;
  command.app.callback([state, &general] {
    resolve(state->fields);
    mallopt(M_MMAP_MAX, 65536);  // each tensor's memory goes back at once: they pass one at a time, and no two need be alike
    catch_stop_signals();
    const std::optional<Conversion> converted = convert(state->options);
    if (!converted) return log_warning("stopped; nothing was written");
    const Conversion& done = *converted;
    print(general.json ? dump_json(as_json(state->options, done)) + "\n" : as_text(state->options, done));
    if (!done.holds())
      throw Error(ExitCode::failed,
                  str("verify: logits differ by ", done.difference->relative(), " of the largest, more than ", done.bound),
                  "do not use the result");
  });
}

}  // namespace aot
