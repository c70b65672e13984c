// SPDX-License-Identifier: Apache-2.0
// One page about one run: what was trained, how the loss fell, what the model writes (docs/explain.md).
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "aot/io/toml.h"
#include "aot/models/summary.h"

namespace aot {

/// What the page shows. Numbers that are not known are NaN and left out.
struct RunReport {
  std::string title;
  std::vector<TomlEntry> config;
  LanguageOptions options;
  ModelSummary summary;
  std::vector<std::pair<double, double>> train_loss, val_loss;   // (step, nats per token)
  double final_loss = std::numeric_limits<double>::quiet_NaN();  // nats per token on all of the validation text
  double bits_per_byte = std::numeric_limits<double>::quiet_NaN();
  double unigram = std::numeric_limits<double>::quiet_NaN();  // cross-entropy of models that count, on the same text
  double bigram = std::numeric_limits<double>::quiet_NaN();
  double tokens_per_s = std::numeric_limits<double>::quiet_NaN();
  std::vector<std::string> samples;
};

struct RunReportOptions {
  int64_t samples = 3;
  int64_t tokens = 400;  // a sample
  uint64_t seed = 1;
};

/// Reads a run folder, evaluates its best checkpoint on the run's own data and lets it write. Throws FileError on a folder that is no run.
RunReport read_run(const std::string& run, const RunReportOptions& options);

/// Losses against steps, with the counting models as levels.
std::string loss_chart(const RunReport& report);

/// A self-contained page: no script, nothing loaded from elsewhere.
std::string html(const RunReport& report);

}  // namespace aot
