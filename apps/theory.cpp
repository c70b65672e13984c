// SPDX-License-Identifier: Apache-2.0
// aot theory: the paper's claims, as runs.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include "aot/core/atomic.h"
#include "aot/core/log.h"
#include "aot/core/random.h"
#include "aot/core/signals.h"
#include "aot/io/error.h"
#include "aot/io/json.h"
#include "aot/io/output.h"
#include "aot/theory/figure_four.h"
#include "aot/theory/presets.h"
#include "aot/theory/report.h"
#include "aot/theory/sweep.h"
#include "apps/command.h"
#include "apps/theory.h"

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

void run(State& state, const GeneralOptions& general, bool judged) {
  resolve_run(state);
  if (state.flags.preset == "list") return print(preset_list());
  if (judged)
    if (const std::string warning = require_window(state.options); !warning.empty()) log_warning(warning);
  if (!state.flags.per_token.empty()) require_writable(state.flags.per_token);
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

struct FiguresState {
  std::string out;
  int64_t seeds = 20;
  Fields fields;
};

void run_figures(FiguresState& state, const GeneralOptions& general) {
  resolve(state.fields);
  if (state.out.empty()) throw UsageError("theory figures needs --out FOLDER");
  const at::NoGradGuard no_grad;
  make_folders(state.out);
  Progress progress("figures", 100, "%");
  const FigureFour figure = run_figure_four(state.seeds, first_seed(general), [&](double share) { progress.update(100 * share); });
  progress.finish();
  for (const auto& [name, content] : figure_files(figure)) write_file_atomically(state.out + "/" + name, content);
  log_info("wrote " + state.out);
  print(general.json ? dump_json(figure_json(figure)) + "\n" : figure_text(figure));
}

void add_figures(Subcommand& command) {
  const auto state = std::make_shared<FiguresState>();
  state->fields.heading("Figures");
  state->fields.add("out", state->out, "folder for pictures (SVG), table (CSV) and numbers (JSON)").metavar("FOLDER");
  state->fields.add("seeds", state->seeds, "samples of each reading, of consecutive seeds").min(1).max(1 << 20);
  CLI::App* app = command.app.add_subcommand("figures", "the paper's figure in four readings, beside its own dots");
  app->fallthrough();
  set_examples(*app, "  aot theory figures --out figures --seed 1\n");
  state->fields.add_flags(*app);
  app->callback([state, &general = command.general] { run_figures(*state, general); });
}

struct SweepState {
  std::string out;
  SweepOptions options;
  Fields fields;
};

/// Appends rows to a file as they come, so that a stopped sweep is gone on with.
class RowFile {
 public:
  /// Keeps the whole lines that the file has.
  RowFile(const std::string& path, const std::vector<SweepRow>& rows) : path_(path) {
    std::string text;
    for (const SweepRow& row : rows) text += dump_json(row_json(row)) + "\n";
    write_file_atomically(path, text);
    file_ = std::fopen(path.c_str(), "ab");
    if (file_ == nullptr) fail();
  }
  ~RowFile() { std::fclose(file_); }
  RowFile(const RowFile&) = delete;
  RowFile& operator=(const RowFile&) = delete;

  void add(const SweepRow& row) {
    const std::string line = dump_json(row_json(row)) + "\n";
    if (std::fwrite(line.data(), 1, line.size(), file_) != line.size() || std::fflush(file_) != 0) fail();
  }

 private:
  [[noreturn]] void fail() const { throw FileError(path_, "", str("write error: ", std::strerror(errno)), "", ExitCode::io); }

  std::string path_;
  std::FILE* file_ = nullptr;
};

uint64_t least_seed(const std::vector<SweepRow>& rows) {
  return std::min_element(rows.begin(), rows.end(), [](const SweepRow& a, const SweepRow& b) { return a.seed < b.seed; })->seed;
}

void run_sweep_command(SweepState& state, const GeneralOptions& general) {
  resolve(state.fields);
  if (state.out.empty()) throw UsageError("theory sweep needs --out FOLDER");
  const std::vector<SweepSetting> grid = sweep_grid(state.options);
  make_folders(state.out);
  const FolderLock lock(state.out);
  std::vector<SweepRow> rows = read_rows(state.out + "/rows.jsonl");
  // A sweep that is gone on with without --seed keeps the seeds that it has.
  const uint64_t seed = general.seed < 0 && !rows.empty() ? least_seed(rows) : first_seed(general);
  RowFile file(state.out + "/rows.jsonl", rows);
  catch_stop_signals();
  const double all = static_cast<double>(grid.size()) * static_cast<double>(state.options.seeds);
  std::vector<SweepRow> open = open_rows(grid, state.options, seed, rows), fresh;  // the file may hold rows of other grids
  double count = all - static_cast<double>(open.size());
  Progress progress("sweep", all, "samples", count);
  run_sweep(std::move(open), [&](const SweepRow& row) {
    file.add(row);
    fresh.push_back(row);
    progress.update(++count);
  });
  progress.finish();
  rows.insert(rows.end(), fresh.begin(), fresh.end());
  const std::vector<SweepCell> cells = collect(grid, rows, state.options, seed);
  if (cells.empty()) return;
  for (const auto& [name, content] : sweep_files(cells)) write_file_atomically(state.out + "/" + name, content);
  log_info(str("wrote ", state.out, stop_signal() != 0 ? ", unfinished: the same command goes on" : ""));
  const Json summary = sweep_summary(cells);
  print(general.json ? dump_json(summary) + "\n" : sweep_text(summary));
}

void add_sweep(Subcommand& command) {
  const auto state = std::make_shared<SweepState>();
  describe(state->fields, state->options);
  state->fields.heading("Sweep");
  state->fields.add("out", state->out, "folder; one that holds a stopped sweep is gone on with").metavar("FOLDER");
  CLI::App* app = command.app.add_subcommand("sweep", "for how many layers the rate is exact, over a grid, beside the prediction");
  app->fallthrough();
  set_examples(*app,
               "  aot theory sweep --out sweep --seed 1\n"
               "  aot theory sweep --out sweep --tokens 256 --heads 4 --head-dim 8ln,10ln,12ln --delta 0.05,0.1 --tau 0.9 --eta 0.1\n");
  state->fields.add_flags(*app);
  app->callback([state, &general = command.general] { run_sweep_command(*state, general); });
}

}  // namespace

void add_theory(Subcommand& command) {
  command.app.require_subcommand(1);
  set_examples(command.app,
               "  aot theory certify --preset exact             does the theorem hold on this sample, layer by layer?\n"
               "  aot theory denoise --preset fig4-practical    softmax, norm and scale as trained models have them\n"
               "  aot theory figures --out figures              the paper's figure in four readings\n"
               "  aot theory probe --model run --data data --out probe   do the layers of a trained model denoise?\n");
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
  add_figures(command);
  add_sweep(command);
  add_probe(command);
}

}  // namespace aot
