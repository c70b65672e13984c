// SPDX-License-Identifier: Apache-2.0
// The table and the maps of sweep.h.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "aot/core/svg.h"
#include "aot/theory/sweep.h"

namespace aot {
namespace {

constexpr int64_t kFigureLayers = 12;  // the paper's figure shows the ratio before and after each of these
constexpr size_t kPanels = 12;         // on one sheet
constexpr int kColumns = 3;

using PanelKey = std::tuple<int64_t, int64_t, int64_t, double>;  // N, K, p, tau

PanelKey panel_of(const SweepSetting& s) {
  return {s.tokens, s.heads, s.head_dim, s.tau};
}

std::string prediction_text(const SweepCell& cell) {
  return cell.prediction.layers ? std::to_string(*cell.prediction.layers) : "-";
}

size_t place_in(const std::set<double>& values, double value) {
  return static_cast<size_t>(std::distance(values.begin(), values.find(value)));
}

std::string panel_svg(const std::vector<const SweepCell*>& cells, double high) {
  std::set<double> deltas, etas;
  for (const SweepCell* cell : cells) {
    deltas.insert(cell->setting.delta);
    etas.insert(cell->setting.eta);
  }
  const SweepSetting& first = cells.front()->setting;
  HeatMap map{.title = fmt::format("N {}, K {}, p {}, tau {:g}", first.tokens, first.heads, first.head_dim, first.tau),
              .x_label = "delta",
              .y_label = "eta"};
  for (const double delta : deltas) map.x.push_back(fmt::format("{:g}", delta));
  for (const double eta : etas) map.y.push_back(fmt::format("{:g}", eta));
  map.values.assign(etas.size(), std::vector<double>(deltas.size(), std::numeric_limits<double>::quiet_NaN()));
  map.texts.assign(etas.size(), std::vector<std::string>(deltas.size()));
  map.inside.assign(etas.size(), std::vector<bool>(deltas.size(), false));
  map.marked = map.inside;
  for (const SweepCell* cell : cells) {
    const size_t row = place_in(etas, cell->setting.eta), column = place_in(deltas, cell->setting.delta);
    map.values[row][column] = std::log1p(cell->median);
    map.texts[row][column] = fmt::format("{}{:g} ({})", cell->capped ? ">=" : "", cell->median, prediction_text(*cell));
    map.inside[row][column] = cell->prediction.layers && *cell->prediction.layers >= kFigureLayers;
    map.marked[row][column] = cell->comparable() && cell->missed();
  }
  map.high = std::log1p(high);
  return heat_map_svg(map);
}

std::string table(const std::vector<SweepCell>& cells) {
  std::string out = "tokens,heads,head_dim,tau,eta,delta,seeds,median,least,most,predicted,comparable,missed\n";
  for (const SweepCell& c : cells)
    out += fmt::format("{},{},{},{:g},{:g},{:g},{},{:g},{},{},{},{:d},{:d}\n", c.setting.tokens, c.setting.heads, c.setting.head_dim,
                       c.setting.tau, c.setting.eta, c.setting.delta, c.seeds, c.median, c.least, c.most,
                       c.prediction.layers ? std::to_string(*c.prediction.layers) : "", c.comparable(), c.missed());
  return out;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> sweep_files(const std::vector<SweepCell>& cells) {
  std::vector<std::pair<std::string, std::string>> files = {{"sweep.csv", table(cells)},
                                                            {"sweep.json", dump_json(sweep_summary(cells), 2) + "\n"}};
  std::map<PanelKey, std::vector<const SweepCell*>> panels;
  double high = 1;
  for (const SweepCell& cell : cells) {
    panels[panel_of(cell.setting)].push_back(&cell);
    high = std::max(high, cell.median);
  }
  std::vector<std::string> sheet;
  int sheets = 0;
  for (auto panel = panels.begin(); panel != panels.end();) {
    sheet.push_back(panel_svg(panel->second, high));
    ++panel;
    if (sheet.size() < kPanels && panel != panels.end()) continue;
    const std::string title =
        fmt::format("Exact layers, median (predicted); heavy line: {} layers predicted; red: off by more than the bound", kFigureLayers);
    const int columns = std::min(kColumns, static_cast<int>(sheet.size()));
    files.emplace_back(fmt::format("map-{}.svg", ++sheets), svg_grid(title, sheet, columns, HeatMap{}.width, HeatMap{}.height));
    sheet.clear();
  }
  return files;
}

}  // namespace aot
