// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/sweep.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <tuple>

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include "aot/core/device.h"
#include "aot/core/signals.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/theory/lists.h"

namespace aot {
namespace {

constexpr size_t kLargestGrid = 1'000'000;
constexpr uint64_t kLargestFile = 1u << 30;

std::vector<std::string> items_of(const std::string& text, const char* flag) {
  std::vector<std::string> out = list_items(text);
  if (out.empty()) throw UsageError(str("--", flag, ": need at least one value"));
  return out;
}

double number_of(const std::string& item, const char* flag, double above, double below) {
  const double value = list_number(item, flag);
  if (!(value > above) || !(value < below)) throw UsageError(str("--", flag, ": ", value, " is not above ", above, " and below ", below));
  return value;
}

std::vector<double> numbers_of(const std::string& text, const char* flag, double above, double below) {
  std::vector<double> out;
  for (const std::string& item : items_of(text, flag)) out.push_back(number_of(item, flag, above, below));
  return out;
}

int64_t whole(double value, const char* flag) {
  if (value != std::floor(value)) throw UsageError(str("--", flag, ": ", value, " is no whole number"));
  return static_cast<int64_t>(value);
}

int64_t dimension_of(const std::string& item, int64_t tokens) {
  constexpr double kMost = 1 << 16;
  if (item.size() > 2 && item.ends_with("ln"))
    return static_cast<int64_t>(
        std::ceil(number_of(item.substr(0, item.size() - 2), "head-dim", 0, 1e4) * std::log(static_cast<double>(tokens))));
  return whole(number_of(item, "head-dim", 0, kMost), "head-dim");
}

using Key = std::tuple<int64_t, int64_t, int64_t, double, double, double>;

Key key_of(const SweepSetting& s) {
  return {s.tokens, s.heads, s.head_dim, s.delta, s.tau, s.eta};
}

DenoiseOptions options_of(const SweepSetting& s, int64_t layers) {
  return {.tokens = {.tokens = s.tokens, .heads = s.heads, .head_dim = s.head_dim, .delta = s.delta},
          .layer = {.eta = s.eta, .tau = s.tau},
          .layers = layers,
          .spectra = false};
}

bool in_window(const SweepSetting& s) {
  return static_cast<double>(s.head_dim) > least_dimension(s.tokens) && s.tau > 0.5 && s.tau <= largest_tau(s.tokens, s.head_dim) &&
         s.tokens % s.heads == 0;
}

Json miss_json(const SweepCell& cell) {
  const SweepSetting& s = cell.setting;
  return {{"tokens", s.tokens}, {"heads", s.heads}, {"head_dim", s.head_dim}, {"delta", s.delta},
          {"tau", s.tau},       {"eta", s.eta},     {"median", cell.median},  {"predicted", *cell.prediction.layers}};
}

}  // namespace

void describe(Fields& fields, SweepOptions& o) {
  fields.heading("Grid: values with commas between them");
  fields.add("tokens", o.tokens, "N").metavar("LIST");
  fields.add("heads", o.heads, "K").metavar("LIST");
  fields.add("head-dim", o.head_dims, "p; 10ln is 10 ln N, rounded up").metavar("LIST");
  fields.add("delta", o.deltas, "noise").metavar("LIST");
  fields.add("tau", o.taus, "thresholds").metavar("LIST");
  fields.add("eta", o.etas, "step sizes").metavar("LIST");
  fields.add("seeds", o.seeds, "samples of each setting, of consecutive seeds").min(1).max(1 << 20);
  fields.add("layers", o.layers, "layers run at most").min(1).max(1 << 20);
}

std::vector<SweepSetting> sweep_grid(const SweepOptions& o) {
  const std::vector<double> tokens = numbers_of(o.tokens, "tokens", 0, 1 << 20), heads = numbers_of(o.heads, "heads", 0, 4096);
  const std::vector<std::string> dims = items_of(o.head_dims, "head-dim");
  const std::vector<double> deltas = numbers_of(o.deltas, "delta", 0, 1e6), taus = numbers_of(o.taus, "tau", 0, 1),
                            etas = numbers_of(o.etas, "eta", 0, 1e3);
  if (tokens.size() * heads.size() * dims.size() * deltas.size() * taus.size() * etas.size() > kLargestGrid)
    throw UsageError(str("the grid has more than ", kLargestGrid, " settings"));
  std::vector<SweepSetting> grid;
  for (const double n : tokens)
    for (const double k : heads)
      for (const std::string& dim : dims)
        for (const double tau : taus)
          for (const double eta : etas)
            for (const double delta : deltas) {
              const int64_t count = whole(n, "tokens");
              const SweepSetting setting{count, whole(k, "heads"), dimension_of(dim, count), delta, tau, eta};
              if (in_window(setting)) grid.push_back(setting);
            }
  if (grid.empty())
    throw UsageError("no setting of the grid is inside the theorem's window",
                     "p > (32/9) ln N, 1/2 < tau <= 1 / (1 + N exp(-9 p / 32)), N divisible by K");
  return grid;
}

Json row_json(const SweepRow& row) {
  const SweepSetting& s = row.setting;
  return {{"tokens", s.tokens}, {"heads", s.heads},     {"head_dim", s.head_dim},
          {"delta", s.delta},   {"tau", s.tau},         {"eta", s.eta},
          {"seed", row.seed},   {"layers", row.layers}, {"exact_layers", row.exact_layers}};
}

std::vector<SweepRow> read_rows(const std::string& path) {
  std::vector<SweepRow> rows;
  if (!std::filesystem::exists(path)) return rows;
  const std::string text = read_file(path, kLargestFile, true);
  size_t start = 0;
  for (size_t end = text.find('\n'); end != std::string::npos; start = end + 1, end = text.find('\n', start)) {
    const Json json = parse_json(std::string_view(text).substr(start, end - start), path);
    constexpr int64_t kMost = int64_t{1} << 53;
    SweepRow row;
    row.setting = {json_integer(json, "tokens", path, 1, kMost),
                   json_integer(json, "heads", path, 1, kMost),
                   json_integer(json, "head_dim", path, 1, kMost),
                   json_number(json, "delta", path),
                   json_number(json, "tau", path),
                   json_number(json, "eta", path)};
    row.seed = static_cast<uint64_t>(json_integer(json, "seed", path, 0, kMost));
    row.layers = json_integer(json, "layers", path, 1, kMost);
    row.exact_layers = json_integer(json, "exact_layers", path, 0, kMost);
    rows.push_back(row);
  }
  return rows;
}

std::vector<SweepRow> open_rows(const std::vector<SweepSetting>& grid, const SweepOptions& o, uint64_t seed,
                                const std::vector<SweepRow>& done) {
  std::set<std::pair<Key, uint64_t>> have;
  for (const SweepRow& row : done)
    if (row.layers == o.layers) have.emplace(key_of(row.setting), row.seed);
  std::vector<SweepRow> open;
  for (const SweepSetting& setting : grid)
    for (int64_t n = 0; n < o.seeds; ++n)
      if (const uint64_t one = seed + static_cast<uint64_t>(n); !have.contains({key_of(setting), one}))
        open.push_back({setting, one, o.layers, 0});
  return open;
}

void run_sweep(std::vector<SweepRow> open, const std::function<void(const SweepRow&)>& finished) {
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  // One share for each thread, from which the products inside do not fork again; each takes the next row when it is free.
  at::parallel_for(0, thread_count(), 1, [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;
    if (begin == end) return;
    for (size_t n = next++; n < open.size() && stop_signal() == 0; n = next++) {
      open[n].exact_layers = count_exact_layers(options_of(open[n].setting, open[n].layers), open[n].seed);
      const std::lock_guard lock(mutex);
      finished(open[n]);
    }
  });
}

bool SweepCell::missed() const {
  const double allowed = std::max(1.0, 0.25 / std::log1p(setting.eta * setting.tau));
  return prediction.layers && std::abs(median - static_cast<double>(*prediction.layers)) > allowed;
}

bool SweepCell::comparable() const {
  return prediction.layers && !capped && static_cast<double>(setting.head_dim) >= 10 * std::log(static_cast<double>(setting.tokens));
}

std::vector<SweepCell> collect(const std::vector<SweepSetting>& grid, const std::vector<SweepRow>& rows, const SweepOptions& o,
                               uint64_t seed) {
  std::map<Key, std::vector<int64_t>> by_setting;
  for (const SweepRow& row : rows)
    if (row.layers == o.layers && row.seed >= seed && row.seed - seed < static_cast<uint64_t>(o.seeds))
      by_setting[key_of(row.setting)].push_back(row.exact_layers);
  std::vector<SweepCell> cells;
  for (const SweepSetting& setting : grid) {
    std::vector<int64_t>& exact = by_setting[key_of(setting)];
    if (exact.empty()) continue;
    std::sort(exact.begin(), exact.end());
    SweepCell cell{.setting = setting, .prediction = predict_layers(options_of(setting, o.layers))};
    const size_t count = exact.size();
    cell.median = static_cast<double>(exact[(count - 1) / 2] + exact[count / 2]) / 2;
    cell.least = exact.front();
    cell.most = exact.back();
    cell.seeds = static_cast<int64_t>(count);
    cell.capped = exact[count / 2] >= o.layers;
    cells.push_back(cell);
  }
  return cells;
}

Json sweep_summary(const std::vector<SweepCell>& cells) {
  struct Tally {
    int64_t settings = 0, comparable = 0, capped = 0, outside = 0;
    Json misses = Json::array();
    double log_error = 0, squares = 0;
  };
  std::map<double, Tally> by_eta;
  for (const SweepCell& cell : cells) {
    Tally& tally = by_eta[cell.setting.eta];
    ++tally.settings;
    tally.capped += cell.capped;
    tally.outside += !cell.prediction.layers;
    if (!cell.comparable()) continue;
    ++tally.comparable;
    if (cell.missed()) tally.misses.push_back(miss_json(cell));
    const double error = (cell.median - static_cast<double>(*cell.prediction.layers)) * std::log1p(cell.setting.eta * cell.setting.tau);
    tally.log_error += error;
    tally.squares += error * error;
  }
  Json out = Json::array();
  for (const auto& [eta, t] : by_eta) {
    const double count = static_cast<double>(std::max<int64_t>(1, t.comparable)), mean = t.log_error / count;
    out.push_back({{"eta", eta},
                   {"settings", t.settings},
                   {"capped", t.capped},
                   {"outside_the_formula", t.outside},
                   {"comparable", t.comparable},
                   {"missed", t.misses.size()},
                   {"share_within", 1 - static_cast<double>(t.misses.size()) / count},
                   {"mean_log_error", mean},
                   {"deviation_of_log_error", std::sqrt(std::max(0.0, t.squares / count - mean * mean))},
                   {"misses", t.misses}});
  }
  return out;
}

std::string sweep_text(const Json& summary) {
  std::string out, misses;
  for (const Json& row : summary) {
    out += fmt::format("eta {:g}: {} settings, {} comparable, within the bound {:.1f} %, mean log error {:+.3f}, deviation {:.3f}\n",
                       row["eta"].get<double>(), row["settings"].get<int64_t>(), row["comparable"].get<int64_t>(),
                       100 * row["share_within"].get<double>(), row["mean_log_error"].get<double>(),
                       row["deviation_of_log_error"].get<double>());
    for (const Json& miss : row["misses"])
      misses += fmt::format("missed: N {}, K {}, p {}, delta {:g}, tau {:g}, eta {:g}: {:g} layers, predicted {}\n",
                            miss["tokens"].get<int64_t>(), miss["heads"].get<int64_t>(), miss["head_dim"].get<int64_t>(),
                            miss["delta"].get<double>(), miss["tau"].get<double>(), miss["eta"].get<double>(), miss["median"].get<double>(),
                            miss["predicted"].get<int64_t>());
  }
  return out + misses;
}

}  // namespace aot
