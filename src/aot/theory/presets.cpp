// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/presets.h"

#include "aot/io/error.h"

namespace aot {

const std::vector<TheoryPreset>& theory_presets() {
  static const std::vector<TheoryPreset> all = {
      {"exact", "theorem mode: exact in all of 13 layers", {.tokens = {.delta = 0.05}, .layer = {.eta = 0.1, .tau = 0.9}}},
      {"break",
       "theorem mode: exact in 5 layers, then the signal-to-noise ratio falls",
       {.tokens = {.tokens = 400, .head_dim = 64, .delta = 0.05}, .layer = {.eta = 0.5, .tau = 0.75}}},
      {"fig4-theorem",
       "the paper's figure, read as the theorem's layer: threshold, no norm",
       {.tokens = {.tokens = 400, .head_dim = 64, .delta = 0.2}, .layer = {.eta = 0.5, .tau = 0.9999}}},
      {"fig4-prenorm",
       "the paper's figure, read as threshold behind RMS normalisation",
       {.tokens = {.tokens = 128, .heads = 2, .head_dim = 32, .delta = 0.2},
        .layer = {.eta = 0.0157, .tau = 0.9, .scale = 0.5, .norm = NormKind::rms}}},
      {"fig4-prenorm",
       "",
       {.tokens = {.tokens = 128, .heads = 2, .head_dim = 32, .delta = 0.5},
        .layer = {.eta = 0.0357, .tau = 0.99, .scale = 0.5, .norm = NormKind::rms}}},
      {"fig4-practical",
       "the paper's figure, read as a trained model's layer: softmax, RMS normalisation, scores by p^-1/2",
       {.tokens = {.tokens = 150, .heads = 3, .head_dim = 16, .delta = 0.2},
        .layer = {.phi = Weighting::softmax, .eta = 0.03, .scale = 0, .norm = NormKind::rms}}},
      {"fig4-practical",
       "",
       {.tokens = {.tokens = 150, .heads = 3, .head_dim = 16, .delta = 0.5},
        .layer = {.phi = Weighting::softmax, .eta = 0.085, .scale = 0, .norm = NormKind::rms}}},
      {"fig4-softmax",
       "the paper's figure, read as softmax without threshold or norm",
       {.tokens = {.tokens = 150, .heads = 3, .head_dim = 16, .delta = 0.2}, .layer = {.phi = Weighting::softmax, .eta = 0.05}}},
  };
  return all;
}

const TheoryPreset& find_theory_preset(std::string_view name, std::optional<double> delta) {
  const TheoryPreset* first = nullptr;
  std::vector<std::string> known;
  std::string all;
  for (const TheoryPreset& preset : theory_presets()) {
    if (preset.name == name && (first == nullptr || preset.options.tokens.delta == delta)) first = &preset;
    if (preset.summary.empty()) continue;
    known.push_back(preset.name);
    all += (all.empty() ? "" : ", ") + preset.name;
  }
  if (first != nullptr) return *first;
  const std::string near = nearest_name(name, known);
  throw UsageError(str("unknown preset '", escaped(name), "'", near.empty() ? "" : ", did you mean '" + near + "'?"),
                   near.empty() ? "known: " + all : "");
}

}  // namespace aot
