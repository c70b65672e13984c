// SPDX-License-Identifier: Apache-2.0
// One page about one run of any task: what was trained, how the loss fell, what a language model writes (docs/explain.md).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "aot/core/svg.h"
#include "aot/io/toml.h"

namespace aot {

/// What the page shows.
struct RunReport {
  std::string title;
  std::vector<TomlEntry> config;
  std::vector<std::pair<std::string, std::string>> facts;       // name and text, in order
  std::string loss;                                             // what the loss is
  std::vector<std::pair<double, double>> train_loss, val_loss;  // (step, loss)
  std::vector<Level> levels;                                    // losses of models that count, on the same text
  std::vector<std::string> samples;
};

/// For language models.
struct RunReportOptions {
  int64_t samples = 3;
  int64_t tokens = 400;  // a sample
  uint64_t seed = 1;
};

/// Reads a run folder; evaluates a language model's best checkpoint on the run's own data and lets it write. Throws FileError on a folder
/// that is no run.
RunReport read_run(const std::string& run, const RunReportOptions& options);

/// Losses against steps, with the levels.
std::string loss_chart(const RunReport& report);

/// A self-contained page: no script, nothing loaded from elsewhere.
std::string html(const RunReport& report);

}  // namespace aot
