// SPDX-License-Identifier: Apache-2.0
// How many layers the theorem's rate is exact, over a grid of settings, beside the prediction.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "aot/core/options.h"
#include "aot/io/json.h"
#include "aot/theory/predictor.h"

namespace aot {

/// Lists with commas between the values; the grid is all their combinations. A dimension `10ln` is 10 ln N, rounded up.
struct SweepOptions {
  std::string tokens = "64,128,256";
  std::string heads = "2,4";
  std::string head_dims = "10ln,14ln";
  std::string deltas = "0.01,0.02,0.05,0.1,0.2";
  std::string taus = "0.6,0.75,0.9";
  std::string etas = "0.05,0.1,0.2,0.5";
  int64_t seeds = 3;
  int64_t layers = 200;  // layers run at most
};

void describe(Fields& fields, SweepOptions& options);

struct SweepSetting {
  int64_t tokens = 0, heads = 0, head_dim = 0;
  double delta = 0, tau = 0, eta = 0;
};

/// The whole grid, without settings outside the theorem's window of p and tau. Throws UsageError on lists that are none, on a grid of more
/// than a million settings, and when nothing is left.
std::vector<SweepSetting> sweep_grid(const SweepOptions& options);

struct SweepRow {
  SweepSetting setting;
  uint64_t seed = 0;
  int64_t layers = 0;  // run at most
  int64_t exact_layers = 0;
};

/// A row as a line of JSON, and back; the text alone tells which setting and seed it is, so a file of lines can be gone on with.
Json row_json(const SweepRow& row);

/// Rows of a file that another sweep left: what follows the last whole line was cut off and is done again. Throws FileError.
std::vector<SweepRow> read_rows(const std::string& path);

/// What `done` lacks of grid and seeds, at this number of layers; `exact_layers` is still 0.
std::vector<SweepRow> open_rows(const std::vector<SweepSetting>& grid, const SweepOptions& options, uint64_t seed,
                                const std::vector<SweepRow>& done);

/// Runs `open` on all threads, calling `finished` for each row, one at a time. Stops early on a stop signal.
void run_sweep(std::vector<SweepRow> open, const std::function<void(const SweepRow&)>& finished);

/// All samples of one setting beside the prediction.
struct SweepCell {
  SweepSetting setting;
  Prediction prediction;
  double median = 0;  // exact layers, over seeds
  int64_t least = 0, most = 0, seeds = 0;
  bool capped = false;  // the median sample's rate outlasted the layers run
  /// The prediction is off by more than max(1, 0.25 / ln gamma) layers: a factor 1.28 in the gain until the end.
  [[nodiscard]] bool missed() const;
  /// There is a prediction to compare with, p >= 10 ln N, and the end was seen.
  [[nodiscard]] bool comparable() const;
};

/// The cells of the grid that have rows of these seeds and this number of layers.
std::vector<SweepCell> collect(const std::vector<SweepSetting>& grid, const std::vector<SweepRow>& rows, const SweepOptions& options,
                               uint64_t seed);

/// Share of comparable settings that are not missed, by eta, what there was to compare, and the `misses` one by one.
Json sweep_summary(const std::vector<SweepCell>& cells);

/// A summary for people: a line each eta, then a line each miss.
std::string sweep_text(const Json& summary);

/// sweep.csv, sweep.json (the summary), and map-1.svg, map-2.svg, ...: delta across, eta up, a panel for each combination of the others.
std::vector<std::pair<std::string, std::string>> sweep_files(const std::vector<SweepCell>& cells);

}  // namespace aot
