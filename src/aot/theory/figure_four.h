// SPDX-License-Identifier: Apache-2.0
// The paper's figure of signal-to-noise ratio against layer: its own dots, four ways to read it, and which of them fits.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "aot/io/json.h"
#include "aot/theory/denoise.h"
#include "aot/theory/fits.h"

namespace aot {

/// One panel of the paper's figure, read off it to about 0.003: 13 dots from the input on.   [Wang et al. 2025, the figure of SNR by layer]
struct PaperPanel {
  double delta = 0;
  std::vector<double> dots;
  size_t regular = 13;  // leading dots that lie on one curve: the last of delta = 0.2 falls 0.05 short of its row
};

const std::vector<PaperPanel>& paper_panels();

/// One reading at one noise, over samples. Values are means over clusters; point n is the ratio before layer n.
struct ReadingRun {
  std::string preset, summary;
  double delta = 0;
  std::vector<double> mean, deviation, lowest, highest;  // by point, over the samples that are kept
  std::vector<int64_t> exact_layers;                     // by sample; -1 where phi has no mask
  int64_t kept = 0;   // samples with an exact mask in every layer; when there is none, those that last as long as the median does
  size_t fitted = 0;  // leading points that curves are fitted through: as long as the mask of the kept is exact, never beyond
  Fit line, geometric, prenorm;
  Fit paper;  // the mean, scaled, against the paper's regular dots of that noise
};

struct FigureFour {
  std::vector<ReadingRun> runs;
  int64_t samples = 0;
};

/// Runs the four readings at both noises on `samples` seeds from `seed` on. `done` hears the share of the work that is done.
FigureFour run_figure_four(int64_t samples, uint64_t seed, const std::function<void(double)>& done);

/// File name and content of each picture and table: fig4-paper.svg, fig4-compare.svg, fig4-<reading>.svg, fig4.csv, fig4.json.
std::vector<std::pair<std::string, std::string>> figure_files(const FigureFour& figure);

Json figure_json(const FigureFour& figure);

/// A line for each run: ends, residuals of the three curves, and how far the scaled run is from the paper's dots.
std::string figure_text(const FigureFour& figure);

}  // namespace aot
