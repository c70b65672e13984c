// SPDX-License-Identifier: Apache-2.0
// aot explain: pages and pictures about runs and models.
#include <memory>

#include "aot/core/log.h"
#include "aot/explain/run_report.h"
#include "aot/io/error.h"
#include "aot/io/output.h"
#include "apps/command.h"

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

}  // namespace

void add_explain(Subcommand& command) {
  command.app.require_subcommand(1);
  add_report(command.app, command.general);
}

}  // namespace aot
