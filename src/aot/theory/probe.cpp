// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/probe.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>

#include "aot/core/non_finite.h"
#include "aot/core/random.h"
#include "aot/io/error.h"

namespace aot {
namespace {

constexpr int64_t kTokensPerBatch = 4096;
constexpr int64_t kWeightsPerBatch = 4 << 20;  // attention weights of one layer and batch, in numbers

/// Distinct layers other than `layer`, all of them when there are no more than `count`.
std::vector<int64_t> other_layers(int64_t layer, int64_t layers, int64_t count, uint64_t seed) {
  std::vector<int64_t> out;
  for (int64_t other = 0; other < layers; ++other)
    if (other != layer) out.push_back(other);
  Random random(derive_seed(seed, "other layers", static_cast<uint64_t>(layer)));
  while (static_cast<int64_t>(out.size()) > count) out.erase(out.begin() + static_cast<std::ptrdiff_t>(random.below(out.size())));
  return out;
}

double snr_of(const std::vector<ClusterMeasures>& heads) {
  return pooled(heads).snr();
}

/// Sums of one layer over all windows.
class LayerSums {
 public:
  LayerSums(const std::vector<Subspaces>& subspaces, int64_t layer, const ProbeOptions& options, uint64_t seed)
      : snr_(subspaces[static_cast<size_t>(layer)]), attention_(snr_.subspaces().count()), eps_squared_(options.eps_squared) {
    const int64_t heads = snr_.subspaces().count(), dim = snr_.subspaces().dims[0], width = snr_.subspaces().width();
    for (int64_t n = 0; n < options.draws; ++n)
      random_.emplace_back(
          random_heads(heads, dim, width, derive_seed(seed, "random bases", static_cast<uint64_t>(layer * options.draws + n))));
    for (const int64_t other : other_layers(layer, static_cast<int64_t>(subspaces.size()), options.draws, seed))
      shuffled_.emplace_back(subspaces[static_cast<size_t>(other)]);
    head_gram_ = at::zeros({heads, dim, dim}, at::kDouble);
  }

  void add_weights(const at::Tensor& weights) { attention_.add(weights); }

  /// Tokens (B, T, D) float64 that enter and leave the block.
  void add(const at::Tensor& before, const at::Tensor& after) {
    const at::Tensor z = before.flatten(0, 1), next = after.flatten(0, 1);  // (B T, D)
    const at::Tensor own = snr_.add(z, next);
    for (std::vector<HeadSnr>* baseline : {&random_, &shuffled_})
      for (HeadSnr& bases : *baseline) bases.add(z, next);
    add_head_grams(z, own);
    for (int64_t row = 0; row < before.size(0); ++row) add_gradient(before[row], after[row]);
    squares_ += z.square().sum().item<double>();
    step_squares_ += (next - z).square().sum().item<double>();
  }

  /// `gram`, `gram_after`: of all tokens at unit length, entering and leaving.
  [[nodiscard]] ProbedLayer record(const at::Tensor& gram, const at::Tensor& gram_after, int64_t tokens) const {
    const Subspaces& subspaces = snr_.subspaces();
    const auto before = snr_.before(), after = snr_.after();
    const std::vector<int64_t> held = snr_.tokens();
    const std::vector<double> mass = attention_.own_mass(), entropy = attention_.entropy();
    ProbedLayer out{.before = pooled(before), .after = pooled(after), .random = baseline(random_), .shuffled = baseline(shuffled_)};
    for (int64_t k = 0; k < subspaces.count(); ++k) {
      const auto i = static_cast<size_t>(k);
      const double rank = effective_rank(at::linalg_eigvalsh(head_gram_[k]).clamp_min(0));
      out.heads.push_back({held[i], before[i], after[i], rank, mass[i], entropy[i]});
      out.own_mass += mass[i] / static_cast<double>(subspaces.count());
      out.entropy += entropy[i] / static_cast<double>(subspaces.count());
      const int64_t dim = subspaces.dims[i];
      const at::Tensor q = subspaces.basis(k);
      const auto rate = [&](const at::Tensor& whole) {
        return coding_rate(at::linalg_eigvalsh(at::matmul(q.t(), at::matmul(whole, q))).clamp_min(0), tokens, dim, eps_squared_);
      };
      out.coding_rate_subspaces += rate(gram);
      out.coding_rate_subspaces_after += rate(gram_after);
    }
    out.overlap = head_overlap(subspaces);
    if (!random_.empty()) out.random_overlap = head_overlap(random_.front().subspaces());
    const at::Tensor spectrum = at::linalg_eigvalsh(gram).clamp_min(0);
    out.effective_rank = effective_rank(spectrum);
    out.coding_rate = coding_rate(spectrum, tokens, subspaces.width(), eps_squared_);
    out.token_norm = std::sqrt(squares_ / static_cast<double>(tokens));
    out.step_share = squares_ > 0 ? std::sqrt(step_squares_ / squares_) : 0;
    const auto windows = static_cast<double>(windows_);
    out.gradient_cosine = cosine_ / windows;
    out.gradient_cosine_across = cosine_across_ / windows;
    out.gradient_cosine_across_random = cosine_across_random_ / windows;
    return out;
  }

 private:
  static ProbeBaseline baseline(const std::vector<HeadSnr>& draws) {
    ProbeBaseline out;
    for (const HeadSnr& draw : draws) {
      out.snr.push_back(snr_of(draw.before()));
      out.growth.push_back(snr_of(draw.after()) - out.snr.back());
    }
    return out;
  }

  void add_head_grams(const at::Tensor& z, const at::Tensor& own) {
    for (int64_t k = 0; k < snr_.subspaces().count(); ++k) {
      const at::Tensor rows = z.index_select(0, (own == k).nonzero().flatten());
      const at::Tensor inside = at::matmul(rows, snr_.subspaces().basis(k));
      head_gram_[k] += at::matmul(inside.t(), inside);
    }
  }

  /// Tokens (T, D) of one window: the set over which attention mixes.
  void add_gradient(const at::Tensor& z, const at::Tensor& next) {
    const at::Tensor unit = unit_rows(z), step = (next - z) / z.norm(2, {1}, true).clamp_min(1e-300), turn = across(step, unit);
    const at::Tensor descent = -coding_rate_gradient(unit, snr_.subspaces(), eps_squared_);
    cosine_ += cosine(step, descent);
    cosine_across_ += cosine(turn, across(descent, unit));
    if (!random_.empty())
      cosine_across_random_ += cosine(turn, across(-coding_rate_gradient(unit, random_.front().subspaces(), eps_squared_), unit));
    ++windows_;
  }

  HeadSnr snr_;
  std::vector<HeadSnr> random_, shuffled_;
  AttentionSums attention_;
  at::Tensor head_gram_;  // (K, P, P)
  double eps_squared_, squares_ = 0, step_squares_ = 0;
  double cosine_ = 0, cosine_across_ = 0, cosine_across_random_ = 0;
  int64_t windows_ = 0;
};

/// Listens to a model while it reads, and adds up.
class Listener {
 public:
  Listener(const ProbedShape& shape, const std::vector<Block>& blocks, const ProbeOptions& options, uint64_t seed) {
    const int64_t layers = shape.layers, width = shape.width;
    std::vector<Subspaces> subspaces;
    for (const Block& block : blocks) subspaces.push_back(probed_subspaces(shape, block));
    for (int64_t l = 0; l < layers; ++l) sums_.emplace_back(subspaces, l, options, seed);
    grams_ = at::zeros({layers + 1, width, width}, at::kDouble);
    taps_.listen("embedding", [this](const std::string&, const at::Tensor& z) {
      take(z, 0);
      return z;
    });
    for (int64_t l = 0; l < layers; ++l) {
      taps_.listen(str("layers.", l, ".weights"), [this, l](const std::string&, const at::Tensor& weights) {
        sums_[static_cast<size_t>(l)].add_weights(weights);
        return weights;
      });
      taps_.listen(str("layers.", l, ".residual"), [this, l](const std::string&, const at::Tensor& z) {
        const at::Tensor before = now_;
        take(z, l + 1);
        sums_[static_cast<size_t>(l)].add(before, now_);
        return z;
      });
    }
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] const Taps& taps() const { return taps_; }
  [[nodiscard]] std::vector<ProbedLayer> records(int64_t tokens) const {
    std::vector<ProbedLayer> out;
    for (size_t l = 0; l < sums_.size(); ++l)
      out.push_back(sums_[l].record(grams_[static_cast<int64_t>(l)], grams_[static_cast<int64_t>(l) + 1], tokens));
    return out;
  }

 private:
  void take(const at::Tensor& z, int64_t place) {
    now_ = z.to(at::kCPU, at::kDouble);
    if (!std::isfinite(now_.sum().item<double>()))
      throw NonFiniteError(place == 0 ? std::string("embeddings") : str("tokens that leave layer ", place));
    const at::Tensor unit = unit_rows(now_.flatten(0, 1));
    grams_[place] += at::matmul(unit.t(), unit);
  }

  std::vector<LayerSums> sums_;
  at::Tensor grams_;  // (L + 1, D, D)
  at::Tensor now_;    // (B, T, D) tokens between two layers
  Taps taps_;
};

/// Windows that are read at once.
int64_t batch_of(const ProbedShape& shape, int64_t length) {
  return std::max<int64_t>(1, std::min(kTokensPerBatch / length, kWeightsPerBatch / (shape.heads * length * length)));
}

ModelProbe result_of(const ProbedShape& shape, const Listener& listener, int64_t windows, int64_t length, bool causal) {
  ModelProbe out{.model = shape, .tokens = windows * length, .windows = windows, .chance_snr = chance_snr(shape.head_dim, shape.width)};
  for (int64_t t = 1; t <= length; ++t) {
    const int64_t read = causal ? t : length;  // tokens that token t may read
    out.own_mass_uniform += 1 / static_cast<double>(read * length);
    out.entropy_uniform += std::log(static_cast<double>(read)) / static_cast<double>(length);
  }
  out.layers = listener.records(out.tokens);
  return out;
}

}  // namespace

void describe(Fields& fields, ProbeOptions& o) {
  fields.heading("Probe");
  fields.add("tokens", o.tokens, "tokens to read, in windows of the model's context spread evenly over the text, or of the first pictures")
      .min(2)
      .max(1e12);
  fields.add("draws", o.draws, "random bases a layer, and at most so many other layers' bases, for the two baselines").min(1).max(1024);
  fields.add("eps-squared", o.eps_squared, "distortion of the coding rates").above(0);
}

Subspaces probed_subspaces(const ProbedShape& o, const Block& block) {
  const bool shared = o.mixer == "mssa";
  if (!shared && o.mixer != "mhsa")
    throw UsageError(str("probe reads the subspaces of mssa or the value subspaces of mhsa; this model mixes by ", o.mixer));
  if (o.head_dim >= o.width)
    throw UsageError(str("probe needs head_dim below the width: subspaces of dimension ", o.head_dim, " in ", o.width, " leave no noise"));
  const int64_t inner = o.heads * o.head_dim;
  for (const Parameter& parameter : block.mixer().parameters()) {
    if (shared && parameter.name == "u") return orthonormal_heads(parameter.value.detach(), o.heads);
    if (!shared && parameter.name == "w_qkv") return orthonormal_heads(parameter.value.detach().narrow(0, 2 * inner, inner), o.heads);
  }
  TORCH_INTERNAL_ASSERT(false, "probe: ", o.mixer, " without its projection");
}

ModelProbe probe_model(const LanguageModel& model, const TokenSource& source, const ProbeOptions& options, uint64_t seed,
                       const std::function<void(double share)>& progress) {
  const LanguageOptions& o = model.options();
  if (source.tokens < 2) throw UsageError(str("probe needs at least 2 tokens (found ", source.tokens, ")"));
  const int64_t length = std::min({o.context, source.tokens, options.tokens});
  const c10::InferenceMode guard;
  const int64_t held = source.tokens / length, windows = std::min(held, std::max<int64_t>(1, options.tokens / length));
  const int64_t batch = batch_of(shape_of(o), length);
  Listener listener(shape_of(o), model.blocks(), options, seed);
  for (int64_t first = 0; first < windows; first += batch) {
    const int64_t count = std::min(batch, windows - first);
    const at::Tensor ids = at::empty({count, length}, at::kLong);  // (B, T)
    for (int64_t row = 0; row < count; ++row)
      source.read((first + row) * held / windows * length, length, ids.data_ptr<int64_t>() + row * length);
    static_cast<void>(model.hidden(ids.to(model.parameters().front().value.device()), {.taps = &listener.taps()}));
    if (progress) progress(static_cast<double>(first + count) / static_cast<double>(windows));
  }
  return result_of(shape_of(o), listener, windows, length, true);
}

ModelProbe probe_model(const VisionModel& model, const ImageSplit& split, PictureReading reading, const ProbeOptions& options,
                       uint64_t seed, const std::function<void(double share)>& progress) {
  const ProbedShape shape = shape_of(model.options());
  const int64_t length = model.options().tokens(), windows = std::clamp<int64_t>(options.tokens / length, 1, split.size());
  const c10::InferenceMode guard;
  Listener listener(shape, model.blocks(), options, seed);
  reading.batch = batch_of(shape, length);
  reading.limit = windows;
  int64_t done = 0;
  const bool whole = for_each_batch(model, split, reading, [&](const at::Tensor& images, const at::Tensor&) {
    static_cast<void>(model.tokens(images, {.taps = &listener.taps()}));
    done += images.size(0);
    if (progress) progress(static_cast<double>(done) / static_cast<double>(windows));
  });
  if (!whole) throw Error(ExitCode::failed, "probe: stopped by a signal");
  return result_of(shape, listener, windows, length, false);
}

GrowthLaws fit_growth(const std::vector<double>& before, const std::vector<double>& growth) {
  const auto mean_square = [](const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value * value;
    return sum / static_cast<double>(values.size());
  };
  return {.prenorm = fit_prenorm_steps(before, growth),
          .ratio = fit_ratio_steps(before, growth),
          .constant = fit_constant_steps(growth),
          .size = std::sqrt(mean_square(growth)),
          .mean_square = mean_square(before)};
}

}  // namespace aot
