// SPDX-License-Identifier: Apache-2.0
#include "aot/explain/run_report.h"

#include <cmath>
#include <filesystem>

#include <fmt/format.h>

#include "aot/core/log.h"
#include "aot/core/random.h"
#include "aot/core/svg.h"
#include "aot/data/token_dataset.h"
#include "aot/eval/ngrams.h"
#include "aot/eval/text.h"
#include "aot/explain/page.h"
#include "aot/generate/generate.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/json.h"
#include "aot/models/checkpoint.h"

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
  double rate_sum = 0, rates = 0;
  for (size_t start = 0, line = 1; start < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const Json row = parse_json(std::string_view(text).substr(start, end - start), str(path, ": line ", line));
    start = end + 1;
    const double step = number_in(row, "step");
    if (const double loss = number_in(row, "loss"); std::isfinite(loss)) report.train_loss.emplace_back(step, loss);
    if (const double loss = number_in(row, "val_loss"); std::isfinite(loss)) report.val_loss.emplace_back(step, loss);
    if (const double rate = number_in(row, "tokens_per_s"); std::isfinite(rate)) {
      rate_sum += rate;
      ++rates;
    }
  }
  if (rates > 0) report.tokens_per_s = rate_sum / rates;
}

std::string number_text(double value, const char* unit) {
  return std::isfinite(value) ? fmt::format("{:.3f} {}", value, unit) : "not known";
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

}  // namespace

RunReport read_run(const std::string& run, const RunReportOptions& options) {
  const std::string checkpoint = find_checkpoint(run);
  const auto model = load_model(checkpoint);
  RunReport report;
  report.title = run_name(run);
  report.config = read_toml(run + "/config.toml");
  report.options = model->options();
  report.summary = summarize(*model, 1, model->options().context);
  read_metrics(run + "/metrics.jsonl", report);

  const auto text = [&report](const char* key) { return value_of<std::string>(report.config, key).value_or(""); };
  const std::string data = text("data");
  if (std::filesystem::exists(data)) {
    const TextDataset dataset = open_text_dataset(data, text("tokenizer"), value_of<int64_t>(report.config, "vocab_size").value_or(0));
    if (dataset.val != nullptr) {
      const TextScore score = score_text(*model, source_of(*dataset.val), dataset.tokenizer.get(), 0, true).value();
      report.final_loss = score.loss;
      report.bits_per_byte = score.bits_per_byte.value_or(std::numeric_limits<double>::quiet_NaN());
      const NgramScore counted = score_ngrams(source_of(*dataset.train), source_of(*dataset.val), dataset.vocab_size, true);
      report.unigram = counted.unigram;
      report.bigram = counted.bigram;
    }
  } else {
    log_warning("the run's data is not at " + escaped(data) + ": the page has no baselines");
  }
  const std::string tokenizer_path = checkpoint + "/tokenizer.json";
  if (!std::filesystem::exists(tokenizer_path)) {
    log_warning("the run has no tokenizer: the page has no samples");
    return report;
  }
  const TokenizerPtr tokenizer = read_tokenizer(tokenizer_path);
  Generator generator(*model, *tokenizer, "");
  for (int64_t i = 0; i < options.samples; ++i)
    report.samples.push_back(
        generator.sample(derive_seed(options.seed, "report", static_cast<uint64_t>(i)), {.tokens = options.tokens}).text);
  return report;
}

std::string loss_chart(const RunReport& report) {
  LineChart chart{.title = report.title,
                  .x_label = "step",
                  .y_label = "cross-entropy, nats per token",
                  .series = {{"training", report.train_loss}, {"validation", report.val_loss, true}}};
  if (std::isfinite(report.unigram)) chart.levels.push_back({fmt::format("unigrams {:.2f}", report.unigram), report.unigram});
  if (std::isfinite(report.bigram)) chart.levels.push_back({fmt::format("bigrams {:.2f}", report.bigram), report.bigram});
  return svg(chart);
}

std::string html(const RunReport& report) {
  const LanguageOptions& o = report.options;
  std::string out = "<h1>Run " + escaped_html(report.title) + "</h1>\n";
  out += "<dl>\n" + fact("validation loss, all of the text", number_text(report.final_loss, "nats"));
  out += fact("bits per byte", number_text(report.bits_per_byte, ""));
  out += fact("counting bigrams reach", number_text(report.bigram, "nats"));
  out += fact("counting unigrams reach", number_text(report.unigram, "nats"));
  out += fact("parameters", count_text(static_cast<double>(report.summary.parameters)));
  out += fact("model", fmt::format("{}, {} x {}, {} heads of {}, context {}", o.mixer, o.width, o.layers, o.heads, o.head_dim, o.context));
  if (std::isfinite(report.tokens_per_s)) out += fact("training speed", count_text(report.tokens_per_s) + " tokens/s");
  out += "</dl>\n<h2>Loss</h2>\n" + loss_chart(report);
  if (!report.samples.empty()) out += "<h2>What it writes</h2>\n";
  for (const std::string& sample : report.samples) out += "<pre>" + shown_sample(sample) + "</pre>\n";
  out += "<h2>Settings</h2>\n<details><summary>config.toml</summary><pre>";
  for (const TomlEntry& entry : report.config) out += escaped_html(entry.key + " = " + toml_text(entry.value)) + "\n";
  return page(report.title, out + "</pre></details>\n");
}

}  // namespace aot
