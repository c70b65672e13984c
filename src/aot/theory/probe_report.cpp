// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/probe_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace aot {
namespace {

/// 97.5 % quantiles of Student's t for 1, 2, ... degrees of freedom.
constexpr std::array<double, 30> kStudent = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                                             2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                                             2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
constexpr double kNormal = 1.960;

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(values.size());
}

double growth_of(const ProbedLayer& layer) {
  return layer.after.snr() - layer.before.snr();
}

struct Quantity {
  std::string_view key;
  double (*of)(const ProbedLayer&);
};

constexpr std::array kQuantities = {
    Quantity{"snr", [](const ProbedLayer& l) { return l.before.snr(); }},
    Quantity{"snr_after", [](const ProbedLayer& l) { return l.after.snr(); }},
    Quantity{"growth", growth_of},
    Quantity{"snr_random", [](const ProbedLayer& l) { return mean_of(l.random.snr); }},
    Quantity{"growth_random", [](const ProbedLayer& l) { return mean_of(l.random.growth); }},
    Quantity{"snr_shuffled", [](const ProbedLayer& l) { return mean_of(l.shuffled.snr); }},
    Quantity{"growth_shuffled", [](const ProbedLayer& l) { return mean_of(l.shuffled.growth); }},
    Quantity{"token_norm", [](const ProbedLayer& l) { return l.token_norm; }},
    Quantity{"step_share", [](const ProbedLayer& l) { return l.step_share; }},
    Quantity{"effective_rank", [](const ProbedLayer& l) { return l.effective_rank; }},
    Quantity{"coding_rate", [](const ProbedLayer& l) { return l.coding_rate; }},
    Quantity{"coding_rate_subspaces", [](const ProbedLayer& l) { return l.coding_rate_subspaces; }},
    Quantity{"coding_rate_subspaces_after", [](const ProbedLayer& l) { return l.coding_rate_subspaces_after; }},
    Quantity{"gradient_cosine", [](const ProbedLayer& l) { return l.gradient_cosine; }},
    Quantity{"gradient_cosine_across", [](const ProbedLayer& l) { return l.gradient_cosine_across; }},
    Quantity{"gradient_cosine_across_random", [](const ProbedLayer& l) { return l.gradient_cosine_across_random; }},
    Quantity{"own_mass", [](const ProbedLayer& l) { return l.own_mass; }},
    Quantity{"entropy", [](const ProbedLayer& l) { return l.entropy; }},
    Quantity{"overlap_largest", [](const ProbedLayer& l) { return l.overlap.largest; }},
    Quantity{"overlap_mean", [](const ProbedLayer& l) { return l.overlap.mean; }},
    Quantity{"overlap_mean_random", [](const ProbedLayer& l) { return l.random_overlap.mean; }},
    Quantity{"median_angle_degrees", [](const ProbedLayer& l) { return l.overlap.median_angle; }},
};

const Quantity& quantity_of(std::string_view key) {
  return *std::find_if(kQuantities.begin(), kQuantities.end(), [&](const Quantity& quantity) { return quantity.key == key; });
}

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json interval_json(const Interval& interval) {
  return {{"mean", number(interval.mean)}, {"half", number(interval.half)}};
}

std::string interval_text(const Interval& interval) {
  if (!std::isfinite(interval.mean)) return "-";
  return std::isfinite(interval.half) ? fmt::format("{:.3f} +- {:.3f}", interval.mean, interval.half)
                                      : fmt::format("{:.3f}", interval.mean);
}

/// The laws of growth of each run of a stage.
std::vector<GrowthLaws> laws_of(const std::vector<const ProbedStage*>& runs) {
  std::vector<GrowthLaws> out;
  for (const ProbedStage* run : runs) {
    std::vector<double> before, growth;
    for (const ProbedLayer& layer : run->probe.layers) {
      before.push_back(layer.before.snr());
      growth.push_back(growth_of(layer));
    }
    out.push_back(fit_growth(before, growth));
  }
  return out;
}

Interval over_laws(const std::vector<GrowthLaws>& laws, const std::function<double(const GrowthLaws&)>& of) {
  std::vector<double> values;
  for (const GrowthLaws& each : laws) values.push_back(of(each));
  return interval_of(values);
}

/// 1 - (what the law misses / what a constant misses)^2.
double explained(const GrowthLaws& laws) {
  return 1 - std::pow(laws.prenorm.rms / laws.constant.rms, 2);
}

/// The fitted b of every run in units of the mean square of the SNR: 1e4, the largest that is tried, is a constant ratio, and 1e-4 a
/// constant step.
std::string shape_text(const std::vector<GrowthLaws>& laws) {
  std::string out;
  for (const GrowthLaws& each : laws) out += fmt::format("{}{:.2g}", out.empty() ? "" : ", ", each.prenorm.b / each.mean_square);
  return out;
}

Json laws_json(const std::vector<GrowthLaws>& laws) {
  const auto value = [&](auto of) { return interval_json(over_laws(laws, of)); };
  return {{"growth_rms", value([](const GrowthLaws& l) { return l.size; })},
          {"constant", {{"step", value([](const GrowthLaws& l) { return l.constant.a; })}, {"rms", value([](const GrowthLaws& l) {
                                                                                              return l.constant.rms;
                                                                                            })}}},
          {"ratio", {{"gamma", value([](const GrowthLaws& l) { return 1 + l.ratio.a; })}, {"rms", value([](const GrowthLaws& l) {
                                                                                             return l.ratio.rms;
                                                                                           })}}},
          {"prenorm",
           {{"kappa", value([](const GrowthLaws& l) { return l.prenorm.a; })},
            {"b", value([](const GrowthLaws& l) { return l.prenorm.b; })},
            {"rms", value([](const GrowthLaws& l) { return l.prenorm.rms; })},
            {"explained", value(explained)}}}};
}

Json stage_json(const std::string& name, const std::vector<const ProbedStage*>& runs) {
  Json steps = Json::array(), models = Json::array(), layers = Json::array();
  for (const ProbedStage* run : runs) {
    models.push_back(run->model);
    steps.push_back(run->step < 0 ? Json(nullptr) : Json(run->step));
  }
  const ModelProbe& first = runs.front()->probe;
  for (size_t l = 0; l < first.layers.size(); ++l) {
    Json row = {{"layer", l + 1}};
    for (const Quantity& quantity : kQuantities) row[quantity.key] = interval_json(over_runs(runs, l, quantity.of));
    layers.push_back(std::move(row));
  }
  return {{"stage", name}, {"models", models}, {"steps", steps}, {"laws", laws_json(laws_of(runs))}, {"layers", layers}};
}

Json model_json(const ProbedStage& stage) {
  Json layers = Json::array();
  for (size_t l = 0; l < stage.probe.layers.size(); ++l) {
    const ProbedLayer& layer = stage.probe.layers[l];
    Json row = {{"layer", l + 1}}, heads = Json::array();
    for (const Quantity& quantity : kQuantities) row[quantity.key] = number(quantity.of(layer));
    row["random_draws"] = layer.random.snr;
    row["shuffled_draws"] = layer.shuffled.snr;
    for (const ProbedHead& head : layer.heads)
      heads.push_back({{"tokens", head.tokens},
                       {"snr", number(head.before.snr())},
                       {"snr_after", number(head.after.snr())},
                       {"signal", head.before.signal},
                       {"noise", head.before.noise},
                       {"signal_after", head.after.signal},
                       {"noise_after", head.after.noise},
                       {"effective_rank", head.effective_rank},
                       {"own_mass", head.own_mass},
                       {"entropy", head.entropy}});
    row["heads"] = std::move(heads);
    layers.push_back(std::move(row));
  }
  return {{"model", stage.model},
          {"stage", stage.stage},
          {"step", stage.step < 0 ? Json(nullptr) : Json(stage.step)},
          {"tokens", stage.probe.tokens},
          {"windows", stage.probe.windows},
          {"chance_snr", stage.probe.chance_snr},
          {"own_mass_uniform", stage.probe.own_mass_uniform},
          {"entropy_uniform", stage.probe.entropy_uniform},
          {"layers", layers}};
}

std::string stage_table(const std::string& name, const std::vector<const ProbedStage*>& runs) {
  std::string out =
      fmt::format("\n{}, {} {}\n\n", stage_title(name, runs), runs.size(), runs.size() == 1 ? "run" : "runs") +
      "| layer | SNR before | random bases | other layers' bases | growth by the layer | random | others' | own mass | cosine across | "
      "random |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
  constexpr std::array kShown = {"snr",
                                 "snr_random",
                                 "snr_shuffled",
                                 "growth",
                                 "growth_random",
                                 "growth_shuffled",
                                 "own_mass",
                                 "gradient_cosine_across",
                                 "gradient_cosine_across_random"};
  for (size_t l = 0; l < runs.front()->probe.layers.size(); ++l) {
    out += fmt::format("| {} |", l + 1);
    for (const char* key : kShown) out += " " + interval_text(over_runs(runs, l, quantity_of(key).of)) + " |";
    out += "\n";
  }
  return out;
}

}  // namespace

Interval interval_of(const std::vector<double>& values) {
  Interval out{mean_of(values), std::numeric_limits<double>::quiet_NaN()};
  if (values.size() < 2) return out;
  double squares = 0;
  for (const double value : values) squares += (value - out.mean) * (value - out.mean);
  const size_t freedom = values.size() - 1;
  const double student = freedom <= kStudent.size() ? kStudent[freedom - 1] : kNormal + 2.4 / static_cast<double>(freedom);
  out.half = student * std::sqrt(squares / static_cast<double>(freedom) / static_cast<double>(values.size()));
  return out;
}

Interval over_runs(const std::vector<const ProbedStage*>& runs, size_t layer, const std::function<double(const ProbedLayer&)>& of) {
  std::vector<double> values;
  for (const ProbedStage* run : runs) values.push_back(of(run->probe.layers[layer]));
  return interval_of(values);
}

std::string stage_title(const std::string& stage, const std::vector<const ProbedStage*>& runs) {
  if (stage == "0") return "before training";
  const int64_t step = runs.front()->step;
  const bool same = std::all_of(runs.begin(), runs.end(), [&](const ProbedStage* run) { return run->step == step; });
  return step >= 0 && same ? fmt::format("step {}", step) : stage;
}

std::vector<ProbeGroup> probe_groups(const ProbeResult& result) {
  std::vector<ProbeGroup> out;
  std::vector<std::string> settings;  // of each group
  for (const ProbedStage& stage : result.stages) {
    const ProbedShape& o = stage.probe.model;
    auto place = std::find(settings.begin(), settings.end(), o.settings) - settings.begin();
    if (place == static_cast<std::ptrdiff_t>(settings.size())) {
      settings.push_back(o.settings);
      out.push_back({fmt::format("{}{}, {} x {}, {} heads of {}", o.mixer,
                                 o.output == Output::tied ? " tied"
                                 : o.mixer == "mssa"      ? " untied"
                                                          : "",
                                 o.width, o.layers, o.heads, o.head_dim),
                     o.mixer == "mssa" ? "U_k" : "value subspaces of mhsa",
                     {}});
    }
    auto& stages = out[static_cast<size_t>(place)].stages;
    auto found = std::find_if(stages.begin(), stages.end(), [&](const auto& entry) { return entry.first == stage.stage; });
    if (found == stages.end()) found = stages.insert(stages.end(), {stage.stage, {}});
    found->second.push_back(&stage);
  }
  return out;
}

Json probe_json(const ProbeResult& result) {
  Json groups = Json::array(), models = Json::array();
  for (const ProbeGroup& group : probe_groups(result)) {
    Json stages = Json::array();
    for (const auto& [name, runs] : group.stages) stages.push_back(stage_json(name, runs));
    groups.push_back({{"name", group.name}, {"subspaces", group.subspaces}, {"stages", stages}});
  }
  for (const ProbedStage& stage : result.stages) models.push_back(model_json(stage));
  return {{"task", "probe"},
          {"data", result.data},
          {"tokens", result.options.tokens},
          {"draws", result.options.draws},
          {"eps_squared", result.options.eps_squared},
          {"seed", result.seed},
          {"groups", groups},
          {"models", models}};
}

std::string probe_markdown(const ProbeResult& result) {
  std::string out, laws =
                       "\nGrowth of the SNR by a layer against the SNR before it, over the layers of a stack: root mean square of what "
                       "each law misses.\n\n"
                       "| model | stage | growth | constant | ratio | pre-norm law | b / S^2 | explained beyond a constant |\n"
                       "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (const ProbeGroup& group : probe_groups(result)) {
    out += fmt::format("{}## {}\n\nSubspaces: {}. Chance for one subspace: {:.3f}.\n", out.empty() ? "" : "\n", group.name, group.subspaces,
                       group.stages.front().second.front()->probe.chance_snr);
    for (const auto& stage : group.stages) {
      const std::vector<const ProbedStage*>& runs = stage.second;
      out += stage_table(stage.first, runs);
      const std::vector<GrowthLaws> fitted = laws_of(runs);
      const auto text = [&](auto of) { return interval_text(over_laws(fitted, of)); };
      laws += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} |\n", group.name, stage_title(stage.first, runs),
                          text([](const GrowthLaws& l) { return l.size; }), text([](const GrowthLaws& l) { return l.constant.rms; }),
                          text([](const GrowthLaws& l) { return l.ratio.rms; }), text([](const GrowthLaws& l) { return l.prenorm.rms; }),
                          shape_text(fitted), text(explained));
    }
  }
  return out + laws;
}

}  // namespace aot
