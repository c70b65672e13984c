// SPDX-License-Identifier: Apache-2.0
// aot theory: the paper's claims, as runs.
#include <memory>
#include <optional>

#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include "aot/core/log.h"
#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/io/json.h"
#include "aot/io/output.h"
#include "aot/theory/presets.h"
#include "aot/theory/report.h"
#include "apps/command.h"

namespace aot {
namespace {

struct RunFlags {
  std::string preset, per_token;
  int64_t seeds = 1;
};

void describe(Fields& fields, RunFlags& flags) {
  fields.heading("Run");
  fields.add("preset", flags.preset, "a named run to start from; list: their names").metavar("NAME");
  fields.add("seeds", flags.seeds, "samples, of consecutive seeds").min(1).max(1 << 20);
  fields.add("per-token", flags.per_token, "write signal and noise of every token before every layer to a CSV file").metavar("FILE");
}

std::string preset_list() {
  std::string out;
  for (const TheoryPreset& preset : theory_presets())
    if (!preset.summary.empty()) out += fmt::format("{:<16} {}\n", preset.name, preset.summary);
  return out;
}

struct State {
  RunFlags flags;
  DenoiseOptions options;
  Fields fields;
};

/// Settings from the preset, then from the command line. A preset with rows for several noises gives the row of --delta.
void resolve_run(State& state) {
  const std::string name = state.fields.early_text("preset");
  if (name == "list") return resolve(state.fields);
  if (!name.empty()) {
    std::optional<double> delta;
    if (const std::string text = state.fields.early_text("delta"); !text.empty()) {
      state.fields.at("delta").set_text(text, Origin::flag, "--delta");
      delta = state.options.tokens.delta;
    }
    DenoiseOptions preset = find_theory_preset(name, delta).options;
    Fields fields;
    describe(fields, preset);
    state.fields.set_from(fields.entries(), Origin::preset, "preset " + name);
  }
  resolve(state.fields);
}

uint64_t first_seed(const GeneralOptions& general) {
  if (general.seed >= 0) return static_cast<uint64_t>(general.seed);
  const uint64_t seed = fresh_seed();
  log_info(str("seed ", seed));
  return seed;
}

void run(State& state, const GeneralOptions& general, bool judged) {
  resolve_run(state);
  if (state.flags.preset == "list") return print(preset_list());
  if (judged)
    if (const std::string warning = require_window(state.options); !warning.empty()) log_warning(warning);
  const at::NoGradGuard no_grad;
  std::string tokens = "seed,layer,token,cluster,signal,noise\n";
  const uint64_t first = first_seed(general);
  Progress progress(judged ? "certify" : "denoise", static_cast<double>(state.flags.seeds), "samples");
  for (int64_t n = 0; n < state.flags.seeds; ++n) {
    const Certificate certificate = certify(state.options, first + static_cast<uint64_t>(n));
    print(general.json ? dump_json(certificate_json(certificate, state.options)) + "\n"
                       : certificate_text(certificate, state.options, judged));
    if (!state.flags.per_token.empty()) tokens += token_rows_csv(certificate);
    progress.update(static_cast<double>(n + 1));
  }
  if (!state.flags.per_token.empty()) write_file_atomically(state.flags.per_token, tokens);
}

void add_run(Subcommand& command, const char* name, const char* summary, const char* examples, bool judged) {
  const auto state = std::make_shared<State>();
  describe(state->fields, state->flags);
  describe(state->fields, state->options);
  CLI::App* app = command.app.add_subcommand(name, summary);
  app->fallthrough();
  set_examples(*app, examples);
  state->fields.add_flags(*app);
  app->callback([state, judged, &general = command.general] { run(*state, general, judged); });
}

}  // namespace

void add_theory(Subcommand& command) {
  command.app.require_subcommand(1);
  set_examples(command.app,
               "  aot theory certify --preset exact             does the theorem hold on this sample, layer by layer?\n"
               "  aot theory denoise --preset fig4-practical    softmax, norm and scale as trained models have them\n");
  add_run(command, "denoise", "run layers on the paper's tokens and measure them",
          "  aot theory denoise --preset exact\n"
          "  aot theory denoise --preset fig4-softmax --delta 0.5 --seeds 5 --json\n"
          "  aot theory denoise --phi relu-mean --norm rms --angles 60 --ambient 0.1 --width 256\n",
          false);
  add_run(command, "certify", "judge each layer against the paper's theorem",
          "  aot theory certify --preset exact             13 of 13 layers\n"
          "  aot theory certify --preset break --seeds 10  the exact rate ends after 5 layers\n"
          "  aot theory certify --preset exact --bases rotated --basis-angle 5\n",
          true);
}

}  // namespace aot
