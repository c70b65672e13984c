// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/certificate.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/theory/presets.h"
#include "aot/theory/report.h"

namespace aot {
namespace {

/// A setting well inside the window, small enough for many runs.
DenoiseOptions inside() {
  return {.tokens = {.tokens = 96, .heads = 2, .head_dim = 48, .delta = 0.05},
          .layer = {.eta = 0.2, .tau = 0.8},
          .layers = 4,
          .spectra = false};
}

std::vector<std::string> failing(const Certificate& certificate) {
  std::vector<std::string> names;
  for (const Hypothesis& hypothesis : certificate.hypotheses)
    if (!hypothesis.holds) names.push_back(hypothesis.name);
  return names;
}

TEST(Certificate, VerifiesTheTheoremWhereItsHypothesesHold) {
  const Certificate c = certify(inside(), 1);
  EXPECT_TRUE(failing(c).empty());
  EXPECT_EQ(c.verified_layers(), 4);
  EXPECT_EQ(c.exact_layers(), 4);
  EXPECT_DOUBLE_EQ(c.gamma, 1.16);
  for (const LayerVerdict& layer : c.layers) EXPECT_LT(layer.ratio_error, 1e-12);
}

TEST(Certificate, NamesEachHypothesisThatFailsAlone) {
  struct Case {
    const char* hypothesis;
    std::function<void(DenoiseOptions&)> breaks;
    bool rate_survives;  // the theorem's hypotheses are sufficient, not all necessary
  };
  const Case cases[] = {
      {"phi is the threshold on softmax", [](DenoiseOptions& o) { o.layer.phi = Weighting::softmax; }, false},
      {"scale c = 1", [](DenoiseOptions& o) { o.layer.scale = 0.05; }, false},
      {"no normalisation", [](DenoiseOptions& o) { o.layer.norm = NormKind::rms; }, false},
      {"no normalisation", [](DenoiseOptions& o) { o.layer.renormalize = true; }, false},
      {"skip form", [](DenoiseOptions& o) { o.layer.form = LayerForm::convex; }, true},
      {"p > (32/9) ln N", [](DenoiseOptions& o) { o.tokens.head_dim = 8; }, false},
      {"1/2 < tau <= 1 / (1 + N exp(-9 p / 32))", [](DenoiseOptions& o) { o.layer.tau = 0.4; }, true},
      {"bases orthonormal, also between subspaces", [](DenoiseOptions& o) { o.tokens.angles = "40"; }, false},
      {"equal dimensions", [](DenoiseOptions& o) { o.tokens.head_dims = "48,56"; }, true},
      {"equal clusters", [](DenoiseOptions& o) { o.tokens.cluster_sizes = "60,36"; }, true},
      {"tokens of Definition 1", [](DenoiseOptions& o) { o.tokens.between = 0.3; }, false},
      {"tokens of Definition 1", [](DenoiseOptions& o) { o.tokens.tails = 5; }, true},
      {"tokens of Definition 1",
       [](DenoiseOptions& o) {
         o.tokens.width = 120;
         o.tokens.ambient = 0.1;
       },
       true},
  };
  for (const Case& one : cases) {
    DenoiseOptions options = inside();
    one.breaks(options);
    const Certificate c = certify(options, 1);
    const std::vector<std::string> names = failing(c);
    EXPECT_NE(std::find(names.begin(), names.end(), one.hypothesis), names.end()) << one.hypothesis;
    // A window that p closes has no threshold either; turned bases are no longer the tokens' own.
    EXPECT_LE(names.size(), std::string(one.hypothesis).rfind("p >", 0) == 0 ? 2u : 1u) << one.hypothesis;
    EXPECT_EQ(c.verified_layers() == 4, one.rate_survives) << one.hypothesis;
  }
}

TEST(Certificate, SaysNoToBasesThatAreOffThoughTheMaskIsExact) {
  DenoiseOptions options = inside();
  options.tokens.bases = BasisSource::rotated;
  options.tokens.basis_angle = 5;
  const Certificate c = certify(options, 1);
  EXPECT_EQ(c.exact_layers(), 4);
  EXPECT_EQ(c.verified_layers(), 0);
  EXPECT_EQ(c.layers[0].verdict, Verdict::broken);
  EXPECT_EQ(failing(c).back(), "the operator has the tokens' own bases");
}

TEST(Certificate, SaysNoWhenOwnTokensDoNotPass) {
  DenoiseOptions options = inside();
  options.tokens.head_dim = 17;  // just inside the window, where the theorem's "N large" is not met
  options.layer.tau = largest_tau(96, 17);
  EXPECT_NE(require_window(options), "");
  const Certificate c = certify(options, 1);
  EXPECT_TRUE(failing(c).empty());
  ASSERT_TRUE(c.layers[0].record.mask->first_wrong);
  EXPECT_TRUE(c.layers[0].record.mask->first_wrong->missing);
  EXPECT_EQ(c.verified_layers(), 0);
}

TEST(Certificate, SaysNoWhenStrangersPass) {
  DenoiseOptions options = inside();
  options.tokens.delta = 0.6;
  const Certificate c = certify(options, 1);
  EXPECT_TRUE(failing(c).empty());
  ASSERT_TRUE(c.layers[0].record.mask->first_wrong);
  EXPECT_FALSE(c.layers[0].record.mask->first_wrong->missing);
  EXPECT_EQ(c.layers[0].verdict, Verdict::broken);
  EXPECT_EQ(c.prediction.layers, 0);
}

TEST(Certificate, OnTheHypothesisTheRateHoldsExactlyWhereTheMaskIsExact) {
  Random random(11);
  int64_t exact = 0, inexact = 0;
  for (int trial = 0; trial < 200; ++trial) {
    DenoiseOptions o;
    o.tokens.heads = 2 + static_cast<int64_t>(random.below(3));
    o.tokens.tokens = o.tokens.heads * (16 + static_cast<int64_t>(random.below(20)));
    o.tokens.head_dim = static_cast<int64_t>(std::ceil(least_dimension(o.tokens.tokens) * (1.05 + 2 * random.uniform())));
    o.tokens.delta = 0.02 + 0.3 * random.uniform();
    const double tau_max = largest_tau(o.tokens.tokens, o.tokens.head_dim);
    o.layer.tau = 0.5 + (tau_max - 0.5) * (0.05 + 0.95 * random.uniform());
    o.layer.eta = 0.05 + 0.5 * random.uniform();
    o.layers = 8;
    o.spectra = false;
    (void)require_window(o);
    for (const LayerVerdict& layer : certify(o, static_cast<uint64_t>(trial)).layers) {
      EXPECT_EQ(layer.ratio_error <= 1e-9, layer.record.mask->exact) << "trial " << trial << " layer " << layer.record.layer;
      ++(layer.record.mask->exact ? exact : inexact);
    }
  }
  EXPECT_GT(exact, 200);
  EXPECT_GT(inexact, 200);
}

TEST(Certificate, TheWindowIsRefusedWithItsBound) {
  const auto refused = [](const DenoiseOptions& options, const std::string& word) {
    try {
      (void)require_window(options);
      ADD_FAILURE() << "accepted, expected: " << word;
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  };
  refused({.tokens = {.tokens = 256, .head_dim = 19}}, "p > (32/9) ln N = 19.72");
  EXPECT_NO_THROW((void)require_window({.tokens = {.tokens = 256, .head_dim = 20}, .layer = {.tau = 0.51}}));
  refused({.tokens = {.tokens = 256, .head_dim = 20}, .layer = {.tau = 0.6}}, "(0.5, 0.5199");
  refused({.layer = {.tau = 0.5}}, "window (0.5, ");
  EXPECT_EQ(require_window({}), "");
  EXPECT_EQ(least_dimension(1), 0);
}

TEST(Certificate, PresetsDoWhatTheyAreNamedFor) {
  DenoiseOptions exact = find_theory_preset("exact", {}).options, breaks = find_theory_preset("break", {}).options;
  exact.spectra = breaks.spectra = false;
  const Certificate a = certify(exact, 1), b = certify(breaks, 1);
  EXPECT_EQ(a.verified_layers(), 13);
  EXPECT_EQ(a.prediction.layers, 20);
  EXPECT_EQ(b.exact_layers(), 5);
  EXPECT_EQ(b.verified_layers(), 5);
  EXPECT_EQ(b.prediction.layers, 5);
  EXPECT_EQ(b.layers[5].verdict, Verdict::broken);
  EXPECT_EQ(find_theory_preset("fig4-prenorm", 0.5).options.layer.eta, 0.0357);
  EXPECT_EQ(find_theory_preset("fig4-prenorm", 0.3).options.layer.eta, 0.0157);
  EXPECT_THROW((void)find_theory_preset("exakt", {}), UsageError);
}

TEST(Predictor, HasNoEndWithoutNoiseOrStrangers) {
  EXPECT_EQ(predict_layers({.tokens = {.delta = 0}}).kind, Prediction::Kind::endless);
  EXPECT_EQ(predict_layers({.tokens = {.heads = 1}}).kind, Prediction::Kind::endless);
  EXPECT_EQ(predict_layers({.layer = {.tau = 0.9999}}).kind, Prediction::Kind::outside);
}

TEST(Predictor, HasNothingToSayOfOtherLayers) {
  const LayerOptions others[] = {{.phi = Weighting::softmax}, {.scale = 0.5},        {.norm = NormKind::rms},
                                 {.norm = NormKind::layer},   {.renormalize = true}, {.form = LayerForm::convex}};
  for (const LayerOptions& layer : others) {
    const Prediction prediction = predict_layers({.layer = layer});
    EXPECT_EQ(prediction.kind, Prediction::Kind::outside);
    EXPECT_FALSE(prediction.layers);
    EXPECT_TRUE(std::isinf(prediction.critical_size));
    EXPECT_EQ(predict_layers({.tokens = {.delta = 0}, .layer = layer}).kind, Prediction::Kind::outside);
    DenoiseOptions options = inside();
    options.layer = layer;
    const Json json = certificate_json(certify(options, 1), options);
    EXPECT_TRUE(json["predicted_layers"].is_null());
    EXPECT_EQ(json["prediction"], "outside the formula");
    EXPECT_TRUE(json["layers"][0]["s"].is_null());
  }
  EXPECT_EQ(predict_layers({}).kind, Prediction::Kind::ends);
}

TEST(Predictor, HoldsForStepsThatAreNone) {
  EXPECT_EQ(predict_layers({.layer = {.eta = 1e-300}}).kind, Prediction::Kind::endless);
  EXPECT_THROW((void)certify({.layer = {.eta = 1, .form = LayerForm::convex}}, 1), UsageError);
}

TEST(Predictor, TheTotalGainDoesNotDependOnTheStep) {
  for (const double eta : {0.01, 0.05, 0.5}) {
    const Prediction prediction = predict_layers({.layer = {.eta = eta, .tau = 0.8}});
    const double gain = std::pow(1 + 0.8 * eta, static_cast<double>(*prediction.layers));
    const double wanted = prediction.critical_size / prediction.first_size;
    EXPECT_GE(gain, wanted * (1 - 1e-9));  // the last exact layer starts at or below the critical size
    EXPECT_LT(gain, wanted * (1 + 0.8 * eta) * (1 + 1e-9));
  }
}

TEST(Predictor, FindsTheRootOfItsEquation) {
  const double s = critical_noise(256, 4, 64, 0.9);
  EXPECT_NEAR(s * std::sqrt(2 * std::log(256.0 * 3 * 64)), std::log(64 * std::exp(s * s / 2) + 192) + std::log(9.0), 1e-9);
}

TEST(Report, HasTheKeysThatScriptsRelyOn) {
  DenoiseOptions options = inside();
  const Json json = certificate_json(certify(options, 4), options);
  EXPECT_EQ(json["seed"], 4);
  EXPECT_EQ(json["exact_layers"], 4);
  EXPECT_TRUE(json["predicted_layers"].is_number());
  ASSERT_EQ(json["snr_expected"].size(), 2u);
  for (size_t k = 0; k < 2; ++k) EXPECT_NEAR(json["snr_expected"][k].get<double>(), 1 / 0.05, 1e-9);
  EXPECT_NE(certificate_text(certify(options, 4), options, true).find(", expected input SNR 20\n"), std::string::npos);
  ASSERT_EQ(json["layers"].size(), 4u);
  for (size_t n = 0; n < 4; ++n) {
    const Json& layer = json["layers"][n];
    EXPECT_EQ(layer["layer"], n + 1);
    EXPECT_EQ(layer["verdict"], "verified");
    EXPECT_EQ(layer["mask_exact"], true);
    EXPECT_NEAR(layer["s"].get<double>(), 0.05 * std::sqrt(48) * std::pow(1.16, n), 1e-12);
    EXPECT_NEAR(layer["own_margin"].get<double>(), layer["own_min"].get<double>() - 0.8, 1e-15);
    EXPECT_NEAR(layer["snr_after"][1].get<double>() / layer["snr"][1].get<double>(), layer["ratio"][1].get<double>(), 1e-9);
    if (n > 0) {
      EXPECT_EQ(layer["snr"], json["layers"][n - 1]["snr_after"]);
    }
  }
  options.tokens.head_dims = "52,40";
  EXPECT_EQ(certificate_json(certify(options, 4), options)["tau_max"], largest_tau(96, 40)) << "of the smallest dimension";
  EXPECT_EQ(json["layers"][0]["wrong_entries"], 0);
  for (const Weighting phi : {Weighting::softmax, Weighting::relu}) {
    options.layer.phi = phi;
    const Json other = certificate_json(certify(options, 4), options)["layers"][0];
    EXPECT_EQ(other["mask_exact"], false);
    for (const char* key : {"wrong_entries", "first_wrong", "mask_block_diagonal"}) {
      ASSERT_TRUE(other.contains(key)) << key;
      EXPECT_TRUE(other[key].is_null()) << key << " is judged for the threshold only";
    }
  }
}

}  // namespace
}  // namespace aot
