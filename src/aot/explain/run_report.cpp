// SPDX-License-Identifier: Apache-2.0
#include "aot/explain/run_report.h"

#include <cmath>
#include <filesystem>

#include <fmt/format.h>

#include "aot/core/log.h"
#include "aot/core/random.h"
#include "aot/data/token_dataset.h"
#include "aot/eval/ngrams.h"
#include "aot/eval/text.h"
#include "aot/explain/page.h"
#include "aot/generate/generate.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/json.h"
#include "aot/models/checkpoint.h"
#include "aot/models/summary.h"

namespace aot {
namespace {

constexpr uint64_t kLargestLog = 1u << 30;

/// A number under `key`, or NaN.
double number_in(const Json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_number() ? found->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

void read_metrics(const std::string& path, RunReport& report) {
  const std::string text = read_file(path, kLargestLog, true);
  for (size_t start = 0, line = 1; start < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const Json row = parse_json(std::string_view(text).substr(start, end - start), str(path, ": line ", line));
    start = end + 1;
    const double step = number_in(row, "step");
    if (const double loss = number_in(row, "loss"); std::isfinite(loss)) report.train_loss.emplace_back(step, loss);
    if (const double loss = number_in(row, "val_loss"); std::isfinite(loss)) report.val_loss.emplace_back(step, loss);
  }
}

void add_fact(RunReport& report, const std::string& name, double value, const char* form) {
  if (std::isfinite(value)) report.facts.emplace_back(name, fmt::format(fmt::runtime(form), value));
}

/// What summary.json says of a finished run; nothing without one.
void add_summary(RunReport& report, const std::string& path) {
  if (!std::filesystem::exists(path)) return;
  const Json summary = parse_json(read_file(path, kLargestLog), path);
  if (report.val_loss.empty() || report.val_loss.back().first < number_in(summary, "step"))
    if (const double loss = number_in(summary, "val_loss"); std::isfinite(loss))
      report.val_loss.emplace_back(number_in(summary, "step"), loss);
  add_fact(report, "validation loss at the end", number_in(summary, "val_loss"), "{:.4f}");
  add_fact(report, "rightly named first", 100 * number_in(summary, "val_top1"), "{:.2f} %");
  add_fact(report, "among the first five", 100 * number_in(summary, "val_top5"), "{:.2f} %");
  add_fact(report, "steps", number_in(summary, "step"), "{:.0f}");
  add_fact(report, "minutes of training", number_in(summary, "seconds") / 60, "{:.1f}");
  for (const char* unit : {"tokens", "images", "prompts"})
    if (const double rate = number_in(summary, (std::string(unit) + "_per_s").c_str()); std::isfinite(rate))
      report.facts.emplace_back("training speed", count_text(rate) + " " + unit + "/s");
}

template <class Options>
void add_model(RunReport& report, const Options& o, const std::string& more, const ModelSummary& summary) {
  report.facts.emplace_back("model", fmt::format("{}, {} x {}, {} heads of {}, {}", o.mixer, o.width, o.layers, o.heads, o.head_dim, more));
  report.facts.emplace_back("parameters", count_text(static_cast<double>(summary.parameters)));
}

/// Text of a sample as people may look at it: control characters shown, line breaks kept.
std::string shown_sample(const std::string& text) {
  std::string out;
  size_t start = 0;
  while (start <= text.size()) {
    const size_t end = std::min(text.find('\n', start), text.size());
    out += (start > 0 ? "\n" : "") + escaped(std::string_view(text).substr(start, end - start), 100000);
    start = end + 1;
  }
  return escaped_html(out);
}

void read_language(const std::string& checkpoint, const RunReportOptions& options, RunReport& report) {
  const auto model = load_model(checkpoint);
  report.loss = "cross-entropy, nats per token";
  const int64_t context = model->options().context;
  add_model(report, model->options(), fmt::format("context {}", context), summarize(*model, 1, context));

  const auto text = [&report](const char* key) { return value_of<std::string>(report.config, key).value_or(""); };
  const std::string data = text("data");
  if (std::filesystem::exists(data)) {
    const TextDataset dataset = open_text_dataset(data, text("tokenizer"), value_of<int64_t>(report.config, "vocab_size").value_or(0));
    if (dataset.val != nullptr) {
      const TextScore score = score_text(*model, source_of(*dataset.val), dataset.tokenizer.get(), 0, true).value();
      add_fact(report, "validation loss, all of the text", score.loss, "{:.3f} nats");
      if (score.bits_per_byte) add_fact(report, "bits per byte", *score.bits_per_byte, "{:.3f}");
      const NgramScore counted = score_ngrams(source_of(*dataset.train), source_of(*dataset.val), dataset.vocab_size, true);
      for (const auto& [name, loss] : {std::pair("unigrams", counted.unigram), {"bigrams", counted.bigram}}) {
        add_fact(report, str("counting ", name, " reach"), loss, "{:.3f} nats");
        report.levels.push_back({fmt::format("{} {:.2f}", name, loss), loss});
      }
    }
  } else {
    log_warning("the run's data is not at " + escaped(data) + ": the page has no baselines");
  }
  const std::string tokenizer_path = checkpoint + "/tokenizer.json";
  if (!std::filesystem::exists(tokenizer_path)) return log_warning("the run has no tokenizer: the page has no samples");
  const TokenizerPtr tokenizer = read_tokenizer(tokenizer_path);
  Generator generator(*model, *tokenizer, "");
  for (int64_t i = 0; i < options.samples; ++i)
    report.samples.push_back(
        generator.sample(derive_seed(options.seed, "report", static_cast<uint64_t>(i)), {.tokens = options.tokens}).text);
}

}  // namespace

RunReport read_run(const std::string& run, const RunReportOptions& options) {
  const std::string checkpoint = find_checkpoint(run);
  RunReport report;
  report.title = run_name(run);
  report.config = read_toml(run + "/config.toml");
  read_metrics(run + "/metrics.jsonl", report);
  const std::string task = read_model_task(checkpoint);
  if (task == "vision") {
    const VisionOptions o = read_vision_options(checkpoint);
    report.loss = "cross-entropy, nats per picture";
    add_model(report, o, fmt::format("{} x {} pixels in patches of {}, {} classes", o.image_size, o.image_size, o.patch, o.classes),
              summarize(VisionModel::without_storage(o), 1));
  } else if (task == "icl") {
    const RegressionOptions o = read_regression_options(checkpoint);
    report.loss = "squared error";
    add_model(report, o, fmt::format("functions of {} numbers", o.dims), summarize(RegressionModel::without_storage(o), 1, 1));
  } else {
    read_language(checkpoint, options, report);
  }
  add_summary(report, run + "/summary.json");
  return report;
}

std::string loss_chart(const RunReport& report) {
  return svg({.title = report.title,
              .x_label = "step",
              .y_label = report.loss,
              .series = {{"training", report.train_loss}, {"validation", report.val_loss, true}},
              .levels = report.levels});
}

std::string html(const RunReport& report) {
  std::string out = "<h1>Run " + escaped_html(report.title) + "</h1>\n<dl>\n";
  for (const auto& [name, text] : report.facts) out += fact(name, text);
  out += "</dl>\n<h2>Loss</h2>\n" + loss_chart(report);
  if (!report.samples.empty()) out += "<h2>What it writes</h2>\n";
  for (const std::string& sample : report.samples) out += "<pre>" + shown_sample(sample) + "</pre>\n";
  out += "<h2>Settings</h2>\n<details><summary>config.toml</summary><pre>";
  for (const TomlEntry& entry : report.config) out += escaped_html(entry.key + " = " + toml_text(entry.value)) + "\n";
  return page(report.title, out + "</pre></details>\n");
}

}  // namespace aot
