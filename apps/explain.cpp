// SPDX-License-Identifier: Apache-2.0
// aot explain: pages and pictures about runs and models.
#include <charconv>
#include <memory>

#include <fmt/format.h>

#include "aot/core/log.h"
#include "aot/explain/heat_maps.h"
#include "aot/explain/run_report.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/image_file.h"
#include "aot/io/json.h"
#include "aot/io/output.h"
#include "apps/command.h"
#include "apps/picture_input.h"

namespace aot {
namespace {

struct ReportOptions {
  std::string run, out, chart;
  RunReportOptions contents;
};

void describe(Fields& fields, ReportOptions& options) {
  fields.heading("Report");
  fields.add("out", options.out, "the page to write; an existing one is replaced").metavar("FILE.html");
  fields.add("chart", options.chart, "also write the loss chart alone").metavar("FILE.svg");
  fields.add("samples", options.contents.samples, "texts that the model writes").min(0).max(100);
  fields.add("tokens", options.contents.tokens, "tokens of each").min(1).max(1 << 20);
}

void add_report(CLI::App& explain, GeneralOptions& general) {
  CLI::App* app = explain.add_subcommand("report", "one self-contained HTML page about a run");
  app->fallthrough();
  struct State {
    ReportOptions options;
    Fields fields;
  };
  const auto state = std::make_shared<State>();
  describe(state->fields, state->options);
  set_examples(*app,
               "  aot explain report run --out report.html\n"
               "  aot explain report run --out report.html --chart loss.svg --samples 5\n");
  app->add_option("run", state->options.run, "run folder")->required();
  state->fields.add_flags(*app);
  app->callback([state, &general] {
    resolve(state->fields);
    ReportOptions& options = state->options;
    if (options.out.empty()) throw UsageError("explain report needs --out FILE.html");
    if (general.seed >= 0) options.contents.seed = static_cast<uint64_t>(general.seed);
    require_writable(options.out);
    if (!options.chart.empty()) require_writable(options.chart);
    const RunReport report = read_run(options.run, options.contents);
    write_file_atomically(options.out, html(report));
    if (!options.chart.empty()) write_file_atomically(options.chart, loss_chart(report));
    log_info("wrote " + options.out);
  });
}

constexpr int64_t kMostPictures = 64;  // of a sheet, whose rows they are: below the 16,384 pixels that an image may have on a side

struct HeatMapFlags {
  PictureFlags pictures{.images = 12};
  std::string out, layer = "all";
};

/// --layer as a place from 0; -1 for all.
int64_t layer_of(const std::string& text) {
  if (text == "all") return -1;
  int64_t layer = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), layer);
  if (error != std::errc() || end != text.data() + text.size() || layer < 1)
    throw UsageError("--layer: need a layer from 1 on, or all (found '" + escaped(text, 40) + "')");
  return layer - 1;
}

void run_heat_maps(const HeatMapFlags& flags, const GeneralOptions& general) {
  const PictureInput input = open_pictures(flags.pictures, "explain heatmaps");
  if (flags.out.empty()) throw UsageError("explain heatmaps needs --out DIR");
  const int64_t layer = layer_of(flags.layer);
  const std::string& path = flags.pictures.models.front();
  const LoadedVision loaded = load_vision(path, general);
  HeatMaps maps = draw_heat_maps(*loaded.model, input.split(flags.pictures.split), input.reading, layer, true).value();
  maps.title = run_name(path);
  make_folders(flags.out);
  std::vector<std::string> pngs;
  Json rows = Json::array();
  for (const HeatMapLayer& drawn : maps.layers) {
    pngs.push_back(encode_png(drawn.sheet));
    const std::string file = fmt::format("layer-{:02}.png", drawn.layer + 1);
    write_file_atomically(flags.out + "/" + file, pngs.back());
    rows.push_back({{"layer", drawn.layer + 1}, {"file", file}, {"gain", drawn.gain.empty() ? Json(nullptr) : Json(drawn.gain)}});
  }
  write_file_atomically(flags.out + "/index.html", html(maps, pngs));
  log_info("wrote " + flags.out + "/index.html");
  if (general.json)
    print(
        dump_json(
            {{"out", flags.out}, {"images", maps.images}, {"layers", rows}, {"model", loaded.checkpoint}, {"data", flags.pictures.data}}) +
        "\n");
}

void add_heat_maps(CLI::App& explain, GeneralOptions& general) {
  CLI::App* app =
      explain.add_subcommand("heatmaps", "which head of a vision model looks where: attention over pictures, by layer and head");
  app->fallthrough();
  struct State {
    HeatMapFlags flags;
    Fields fields;
  };
  const auto state = std::make_shared<State>();
  state->fields.heading("Heat maps");
  describe(*app, state->fields, state->flags.pictures, {.split = true, .most_images = kMostPictures});
  state->fields.add("layer", state->flags.layer, "one layer, counted from 1, or all").metavar("L|all");
  state->fields.add("out", state->flags.out, "folder for index.html and a PNG for each layer; files of these names are replaced")
      .metavar("DIR");
  set_examples(*app,
               "  aot explain heatmaps --model run --data data/shapes --out maps\n"
               "  aot explain heatmaps --model run --data data/imagenet --resize 256 --layer 12 --images 8 --out maps\n");
  state->fields.add_flags(*app);
  app->callback([state, &general] {
    resolve(state->fields);
    run_heat_maps(state->flags, general);
  });
}

}  // namespace

void add_explain(Subcommand& command) {
  command.app.require_subcommand(1);
  add_report(command.app, command.general);
  add_heat_maps(command.app, command.general);
}

}  // namespace aot
