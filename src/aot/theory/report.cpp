// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/report.h"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include "aot/io/error.h"

namespace aot {
namespace {

const char* kind_text(Prediction::Kind kind) {
  return kind == Prediction::Kind::ends ? "ends" : kind == Prediction::Kind::endless ? "no end" : "outside the formula";
}

template <class Number>
Json numbers(const std::vector<ClusterMeasures>& clusters, Number number) {
  Json out = Json::array();
  for (const ClusterMeasures& cluster : clusters) out.push_back(number(cluster));
  return out;
}

Json snr_of(const TokenMeasures& measures) {
  return numbers(measures.clusters, [](const ClusterMeasures& c) { return c.snr(); });
}

Json token_snr_json(const TokenMeasures& measures) {
  const at::Tensor snr = measures.signal / measures.noise;
  return {{"min", snr.min().item<double>()}, {"median", snr.median().item<double>()}, {"max", snr.max().item<double>()}};
}

Json wrong_json(const std::optional<WrongEntry>& wrong) {
  if (!wrong) return nullptr;
  return {{"head", wrong->head},
          {"query", wrong->query},
          {"key", wrong->key},
          {"probability", wrong->probability},
          {"missing", wrong->missing}};
}

/// Entries are right or wrong for the threshold only.
bool has_wrong_entries(const LayerOptions& layer) {
  return layer.phi == Weighting::softmax_threshold;
}

void add_mask(Json& json, const std::optional<MaskRecord>& mask, const LayerOptions& layer) {
  const bool judged = mask && has_wrong_entries(layer);
  json["mask_exact"] = judged && mask->exact;
  json["mask_block_diagonal"] = judged ? Json(mask->block_diagonal) : Json(nullptr);
  json["wrong_entries"] = judged ? Json(mask->wrong_entries) : Json(nullptr);
  json["first_wrong"] = judged ? wrong_json(mask->first_wrong) : Json(nullptr);
  if (!mask) return;
  json["own_min"] = mask->own_min;
  json["off_max"] = mask->off_max;
  json["own_margin"] = mask->own_min - layer.tau;
  json["off_margin"] = layer.tau - mask->off_max;
  json["diag_mass"] = mask->diagonal;
  json["entropy"] = mask->entropy;
}

double total_size(const TokenMeasures& measures) {
  double squares = 0;
  for (const ClusterMeasures& cluster : measures.clusters) squares += cluster.size * cluster.size;
  return std::sqrt(squares);
}

Json layer_json(const LayerVerdict& judged, const Certificate& certificate, const DenoiseOptions& o) {
  const LayerRecord& record = judged.record;
  Json json = {{"layer", record.layer}, {"gamma", certificate.gamma}, {"verdict", verdict_text(judged.verdict)}};
  add_mask(json, record.mask, o.layer);
  const double s = certificate.prediction.first_size * std::pow(certificate.gamma, static_cast<double>(record.layer - 1));
  json["s"] = has_formula(o.layer) ? Json(s) : Json(nullptr);
  json["signal"] = numbers(record.before.clusters, [](const ClusterMeasures& c) { return c.signal; });
  json["noise"] = numbers(record.before.clusters, [](const ClusterMeasures& c) { return c.noise; });
  json["size"] = total_size(record.before);
  json["snr"] = snr_of(record.before);
  json["snr_after"] = snr_of(record.after);
  json["ratio"] = record.ratio;
  json["ratio_error"] = judged.ratio_error;
  json["token_snr"] = token_snr_json(record.before);
  if (record.spectra) {
    json["effective_rank"] = record.spectra->effective_rank;
    json["effective_ranks"] = record.spectra->effective_ranks;
    json["coding_rate"] = record.spectra->coding_rate;
    json["coding_rate_subspaces"] = record.spectra->coding_rate_subspaces;
    json["coding_rate_normalized"] = record.spectra->coding_rate_normalized;
    json["coding_rate_subspaces_normalized"] = record.spectra->coding_rate_subspaces_normalized;
  }
  return json;
}

std::string range_text(const std::vector<double>& values, const char* format) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const std::string first = fmt::format(fmt::runtime(format), *low), last = fmt::format(fmt::runtime(format), *high);
  return first == last ? first : first + "-" + last;
}

std::vector<double> snrs(const TokenMeasures& measures) {
  std::vector<double> out;
  for (const ClusterMeasures& cluster : measures.clusters) out.push_back(cluster.snr());
  return out;
}

std::vector<double> expected_snrs(const TokenModelOptions& options) {
  std::vector<double> out;
  for (const TokenMoments& moments : expected_moments(options)) out.push_back(moments.snr());
  return out;
}

std::string layer_line(const LayerVerdict& judged, const LayerOptions& layer, bool with_verdict) {
  const LayerRecord& record = judged.record;
  std::string line =
      fmt::format("{:>5}  {:>17}  {:>15}", record.layer, range_text(snrs(record.before), "{:.4g}"), range_text(record.ratio, "{:.6g}"));
  if (record.mask)
    line += fmt::format("  {:>9.6f}  {:>9.3g}  {:>7}  {:>7.3f}", record.mask->own_min, record.mask->off_max,
                        has_wrong_entries(layer) ? std::to_string(record.mask->wrong_entries) : "-", record.mask->entropy);
  if (record.spectra)
    line += fmt::format("  {:>7.1f}  {:>9.1f}  {:>9.1f}", record.spectra->effective_rank, record.spectra->coding_rate,
                        record.spectra->coding_rate_subspaces);
  return line + (with_verdict ? str("  ", verdict_text(judged.verdict)) : "") + "\n";
}

std::string table(const Certificate& certificate, const LayerOptions& options, bool judged) {
  const LayerRecord& first = certificate.layers.front().record;
  std::string out = fmt::format("{:>5}  {:>17}  {:>15}", "layer", "SNR before", "ratio");
  if (first.mask) out += fmt::format("  {:>9}  {:>9}  {:>7}  {:>7}", "own min", "off max", "wrong", "entropy");
  if (first.spectra) out += fmt::format("  {:>7}  {:>9}  {:>9}", "rank", "R", "R^c");
  out += judged ? "  verdict\n" : "\n";
  for (const LayerVerdict& layer : certificate.layers) out += layer_line(layer, options, judged);
  return out + fmt::format("after  {:>17}\n", range_text(snrs(certificate.layers.back().record.after), "{:.4g}"));
}

std::string break_text(const Certificate& certificate) {
  for (const LayerVerdict& layer : certificate.layers) {
    if (!layer.record.mask || !layer.record.mask->first_wrong) continue;
    const WrongEntry& wrong = *layer.record.mask->first_wrong;
    if (wrong.missing)
      return fmt::format("first wrong entry: layer {}, head {}: token {} does not pass to itself, probability {:.6f}\n", layer.record.layer,
                         wrong.head, wrong.query, wrong.probability);
    const std::string read = wrong.key == wrong.query ? "itself, in a head of another cluster," : "token " + std::to_string(wrong.key);
    return fmt::format("first wrong entry: layer {}, head {}: token {} reads {} with probability {:.6f}\n", layer.record.layer, wrong.head,
                       wrong.query, read, wrong.probability);
  }
  return "";
}

}  // namespace

Json certificate_json(const Certificate& c, const DenoiseOptions& o) {
  Json hypotheses = Json::array();
  for (const Hypothesis& hypothesis : c.hypotheses)
    hypotheses.push_back({{"name", hypothesis.name}, {"holds", hypothesis.holds}, {"found", hypothesis.found}});
  const std::vector<int64_t> dims = shape_of(o.tokens).dims;
  const int64_t dim = *std::min_element(dims.begin(), dims.end()), tokens = o.tokens.tokens;
  Json json = {{"seed", c.seed},
               {"verified", c.verified_layers() == static_cast<int64_t>(c.layers.size())},
               {"exact_layers", c.exact_layers()},
               {"verified_layers", c.verified_layers()},
               {"predicted_layers", c.prediction.layers ? Json(*c.prediction.layers) : Json(nullptr)},
               {"prediction", kind_text(c.prediction.kind)},
               {"predicted_size", c.prediction.critical_size},
               {"gamma", c.gamma},
               {"eta", o.layer.eta},
               {"tau", o.layer.tau},
               {"delta", o.tokens.delta},
               {"p_bound", least_dimension(tokens)},
               {"tau_max", largest_tau(tokens, dim)},
               {"norm", o.layer.norm == NormKind::none  ? "none"
                        : o.layer.norm == NormKind::rms ? "rms"
                                                        : "layer"},
               {"scale", o.layer.scale},
               {"hypotheses", hypotheses},
               {"orthonormality", c.orthonormality},
               {"incoherence", c.incoherence},
               {"label_agreement", c.label_agreement},
               {"cluster_sizes", c.cluster_sizes},
               {"snr_expected", expected_snrs(o.tokens)},
               {"snr_final", snr_of(c.layers.back().record.after)}};
  json["layers"] = Json::array();
  for (const LayerVerdict& layer : c.layers) json["layers"].push_back(layer_json(layer, c, o));
  return json;
}

std::string certificate_text(const Certificate& c, const DenoiseOptions& o, bool judged) {
  std::string out =
      fmt::format("seed {}: N {}, K {}, p {}, delta {:g}, eta {:g}, tau {:g}, expected input SNR {}\n", c.seed, o.tokens.tokens,
                  o.tokens.heads, o.tokens.head_dims.empty() ? std::to_string(o.tokens.head_dim) : o.tokens.head_dims, o.tokens.delta,
                  o.layer.eta, o.layer.tau, range_text(expected_snrs(o.tokens), "{:.4g}"));
  out += table(c, o.layer, judged);
  if (c.label_agreement < 1) out += fmt::format("tokens put with their own cluster: {:.4f}\n", c.label_agreement);
  if (!judged) return out;
  const auto layers = static_cast<int64_t>(c.layers.size());
  out += fmt::format("verified in {} of {} layers, mask exact in the first {}; predicted {}, wanted ratio {:.10g}\n", c.verified_layers(),
                     layers, c.exact_layers(), c.prediction.layers ? std::to_string(*c.prediction.layers) : kind_text(c.prediction.kind),
                     c.gamma);
  out += break_text(c);
  for (const Hypothesis& hypothesis : c.hypotheses)
    if (!hypothesis.holds)
      out += str("hypothesis not met: ", hypothesis.name, hypothesis.found.empty() ? "" : " (" + hypothesis.found + ")", "\n");
  return out;
}

std::string token_rows_csv(const Certificate& certificate) {
  std::string out;
  for (const LayerVerdict& layer : certificate.layers) {
    int64_t row = 0;
    for (size_t k = 0; k < certificate.cluster_sizes.size(); ++k)
      for (int64_t i = 0; i < certificate.cluster_sizes[k]; ++i, ++row)
        out += fmt::format("{},{},{},{},{:.12g},{:.12g}\n", certificate.seed, layer.record.layer, row, k,
                           layer.record.before.signal[row].item<double>(), layer.record.before.noise[row].item<double>());
  }
  return out;
}

}  // namespace aot
