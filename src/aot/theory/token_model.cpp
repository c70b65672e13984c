// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/token_model.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include <ATen/ops/_standard_gamma.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/TensorOperators.h>

#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/theory/bases.h"
#include "aot/theory/lists.h"

namespace aot {
namespace {

std::vector<int64_t> counts_of(const std::string& text, const char* flag, int64_t heads) {
  std::vector<int64_t> out;
  for (const double value : list_numbers(text, flag)) {
    if (value < 1 || value != std::floor(value) || value > 1 << 24) throw UsageError(str("--", flag, ": need whole numbers of at least 1"));
    out.push_back(static_cast<int64_t>(value));
  }
  if (static_cast<int64_t>(out.size()) != heads)
    throw UsageError(str("--", flag, ": need one number for each of the ", heads, " subspaces, got ", out.size()));
  return out;
}

std::vector<int64_t> cluster_sizes_of(const TokenModelOptions& o) {
  if (o.cluster_sizes == "random") {
    if (o.tokens < o.heads) throw UsageError(str("--tokens ", o.tokens, ": need at least one for each of the ", o.heads, " subspaces"));
    return {};
  }
  if (o.cluster_sizes == "equal") {
    if (o.tokens % o.heads != 0)
      throw UsageError(str("--tokens ", o.tokens, " is not divisible by the ", o.heads, " clusters"), "or give --cluster-sizes");
    return std::vector<int64_t>(static_cast<size_t>(o.heads), o.tokens / o.heads);
  }
  std::vector<int64_t> sizes = counts_of(o.cluster_sizes, "cluster-sizes", o.heads);
  if (const int64_t sum = std::accumulate(sizes.begin(), sizes.end(), int64_t{0}); sum != o.tokens)
    throw UsageError(str("--cluster-sizes: they add up to ", sum, ", but --tokens is ", o.tokens));
  return sizes;
}

std::vector<double> angles_of(const TokenModelOptions& o) {
  std::vector<double> out;
  if (o.angles.empty()) return out;
  const std::vector<double> given = list_numbers(o.angles, "angles");
  for (const double degrees : given)
    if (degrees <= 0 || degrees > 90) throw UsageError("--angles: need degrees above 0 and at most 90");
  for (int64_t r = 0; r < o.head_dim; ++r) out.push_back(given[static_cast<size_t>(r) % given.size()] * std::numbers::pi / 180);
  return out;
}

/// Noise of variance one.
at::Tensor unit_noise(at::IntArrayRef shape, double tails, uint64_t seed) {
  at::Tensor noise = gaussian(shape, seed);
  if (tails == 0) return noise;
  const at::Tensor chi_square =
      2 * at::_standard_gamma(at::full(shape, tails / 2, at::kDouble), make_generator(derive_seed(seed, "tails")));
  return noise.mul_(((tails - 2) / chi_square).sqrt_());
}

std::vector<int64_t> random_sizes(int64_t tokens, int64_t heads, uint64_t seed) {
  std::vector<int64_t> sizes(static_cast<size_t>(heads), 1);
  Random random(seed);
  for (int64_t i = heads; i < tokens; ++i) ++sizes[random.below(static_cast<uint64_t>(heads))];
  return sizes;
}

/// Coordinates of the tokens in all subspaces, (N, p_1 + .. + p_K).
at::Tensor coordinates(const TokenModelOptions& o, const TokenSample& sample, uint64_t seed) {
  const Subspaces& u = sample.truth;
  at::Tensor out = unit_noise({o.tokens, u.columns.size(1)}, o.tails, derive_seed(seed, "noise")).mul_(o.delta);
  Random random(derive_seed(seed, "between"));
  for (int64_t k = 0; k < u.count(); ++k) {
    const int64_t first = sample.first_row(k), size = sample.cluster_sizes[static_cast<size_t>(k)];
    const at::Tensor signal = gaussian({size, u.dims[static_cast<size_t>(k)]}, derive_seed(seed, "signal", static_cast<uint64_t>(k)));
    const int64_t shared = std::llround(o.between * static_cast<double>(size));
    signal.narrow(0, 0, shared).mul_(std::numbers::sqrt2 / 2);
    out.narrow(0, first, size).narrow(1, u.offset(k), signal.size(1)).copy_(signal);
    for (int64_t i = 0; i < shared; ++i) {
      const auto step = 1 + static_cast<int64_t>(random.below(static_cast<uint64_t>(u.count() - 1)));
      const int64_t other = (k + step) % u.count(), dim = u.dims[static_cast<size_t>(other)];
      out[first + i].narrow(0, u.offset(other), dim).add_(gaussian({dim}, random.next()), std::numbers::sqrt2 / 2);
    }
  }
  return out;
}

/// Puts the bases and labels that were found in the order of the true ones: the pair that overlaps most first.
void match_clusters(const FoundClusters& found, TokenSample& sample) {
  const int64_t heads = sample.truth.count();
  at::Tensor overlap = at::empty({heads, heads}, at::kDouble);
  for (int64_t k = 0; k < heads; ++k)
    for (int64_t j = 0; j < heads; ++j)
      overlap[k][j].copy_(at::matmul(sample.truth.basis(k).t(), found.bases[static_cast<size_t>(j)]).square().sum());
  std::vector<at::Tensor> ordered(static_cast<size_t>(heads));
  double right = 0;
  for (int64_t n = 0; n < heads; ++n) {
    const int64_t best = overlap.argmax().item<int64_t>(), k = best / heads, j = best % heads;
    overlap[k].fill_(-1);
    overlap.select(1, j).fill_(-1);
    ordered[static_cast<size_t>(k)] = found.bases[static_cast<size_t>(j)];
    const at::Tensor labels = found.labels.narrow(0, sample.first_row(k), sample.cluster_sizes[static_cast<size_t>(k)]);
    right += (labels == j).sum().item<double>();
  }
  sample.known = {.columns = at::cat(ordered, 1), .dims = sample.truth.dims};
  sample.label_agreement = right / static_cast<double>(sample.z.size(0));
}

void learn_bases(const TokenModelOptions& o, TokenSample& sample, uint64_t seed) {
  sample.known = sample.truth;
  switch (o.bases) {
    case BasisSource::exact:
      return;
    case BasisSource::rotated:
      sample.known = rotated(sample.truth, o.basis_angle * std::numbers::pi / 180, derive_seed(seed, "known"));
      return;
    case BasisSource::labels: {
      std::vector<at::Tensor> bases;
      for (int64_t k = 0; k < sample.truth.count(); ++k)
        bases.push_back(principal_basis(sample.cluster(k), sample.truth.dims[static_cast<size_t>(k)], derive_seed(seed, "known")));
      sample.known.columns = at::cat(bases, 1);
      return;
    }
    case BasisSource::clusters:
      match_clusters(find_clusters(sample.z, sample.truth.count(), o.head_dim, derive_seed(seed, "known")), sample);
      return;
  }
}

}  // namespace

void describe(Fields& fields, TokenModelOptions& o) {
  fields.heading("Tokens");
  fields.add("tokens", o.tokens, "tokens N").min(1).max(1 << 20);
  fields.add("heads", o.heads, "subspaces K, one head each").min(1).max(4096);
  fields.add("head-dim", o.head_dim, "dimension p of each subspace").min(1).max(1 << 16);
  fields.add("width", o.width, "dimension D of the space; 0: as small as the subspaces allow").min(0).max(1 << 20);
  fields.add("delta", o.delta, "standard deviation of the noise in the other subspaces").min(0).max(1e6);
  fields.heading("Departures from Definition 1");
  fields.add("cluster-sizes", o.cluster_sizes, "equal, random, or N_1,N_2,...").metavar("SIZES");
  fields.add("head-dims", o.head_dims, "p_1,p_2,... in place of one --head-dim").metavar("DIMS");
  fields.add("angles", o.angles, "principal angles between every two subspaces, in degrees, repeated up to p; empty: right angles")
      .metavar("A,...");
  fields.add("between", o.between, "share of each cluster that lies as much in another subspace").min(0).max(1);
  fields.add("tails", o.tails, "noise by Student's t with so many degrees of freedom, above 2, of the same variance; 0: normal").min(0);
  fields.add("ambient", o.ambient, "standard deviation of noise outside all subspaces").min(0).max(1e6);
  fields.add("bases", o.bases,
             {{"exact", BasisSource::exact},
              {"rotated", BasisSource::rotated},
              {"labels", BasisSource::labels},
              {"clusters", BasisSource::clusters}},
             "what the operator knows: the subspaces, turned ones, or principal directions of labelled or of clustered tokens");
  fields.add("basis-angle", o.basis_angle, "degrees that rotated bases are off by").min(0).max(90);
}

TokenModelShape shape_of(const TokenModelOptions& o) {
  TokenModelShape shape;
  shape.cluster_sizes = cluster_sizes_of(o);
  shape.dims =
      o.head_dims.empty() ? std::vector<int64_t>(static_cast<size_t>(o.heads), o.head_dim) : counts_of(o.head_dims, "head-dims", o.heads);
  shape.angles = angles_of(o);
  const bool unequal = std::any_of(shape.dims.begin(), shape.dims.end(), [&](int64_t p) { return p != shape.dims.front(); });
  if (!o.head_dims.empty() && !o.angles.empty()) throw UsageError("--angles goes with one --head-dim, not with --head-dims");
  if (unequal && o.bases == BasisSource::clusters) throw UsageError("--bases clusters goes with one --head-dim, not with --head-dims");
  const int64_t sum = std::accumulate(shape.dims.begin(), shape.dims.end(), int64_t{0});
  shape.width = o.width > 0 ? o.width : sum;
  if (sum > shape.width)
    throw UsageError(str("--width ", shape.width, ": ", o.heads, " orthogonal subspaces of ", sum, " dimensions together do not fit"),
                     str("need D >= K p = ", sum));
  if (o.ambient > 0 && sum == shape.width) throw UsageError("--ambient: the subspaces fill the space", str("need --width above ", sum));
  if (o.between > 0 && o.heads < 2) throw UsageError("--between: needs at least two subspaces");
  if (o.tails != 0 && o.tails <= 2) throw UsageError("--tails: noise has a variance only above 2 degrees of freedom");
  if (o.basis_angle > 0 && o.bases != BasisSource::rotated) throw UsageError("--basis-angle goes with --bases rotated");
  if (o.bases == BasisSource::rotated)
    for (const int64_t dim : shape.dims)
      if (2 * dim > shape.width)
        throw UsageError(str("--bases rotated: no room to turn a subspace of ", dim, " in ", shape.width, " dimensions"));
  return shape;
}

at::Tensor Subspaces::basis(int64_t k) const {
  return columns.narrow(1, offset(k), dims[static_cast<size_t>(k)]);
}

int64_t Subspaces::offset(int64_t k) const {
  return std::accumulate(dims.begin(), dims.begin() + k, int64_t{0});
}

int64_t TokenSample::first_row(int64_t k) const {
  return std::accumulate(cluster_sizes.begin(), cluster_sizes.begin() + k, int64_t{0});
}

at::Tensor TokenSample::cluster(int64_t k) const {
  return z.narrow(0, first_row(k), cluster_sizes[static_cast<size_t>(k)]);
}

TokenSample sample_tokens(const TokenModelOptions& o, uint64_t seed) {
  const TokenModelShape shape = shape_of(o);
  TokenSample sample;
  sample.cluster_sizes = shape.cluster_sizes.empty() ? random_sizes(o.tokens, o.heads, derive_seed(seed, "sizes")) : shape.cluster_sizes;
  const Subspaces orthonormal = random_subspaces(shape.dims, shape.width, derive_seed(seed, "bases"));
  sample.truth = shape.angles.empty() ? orthonormal : with_angles(orthonormal, shape.angles);
  sample.z = at::matmul(coordinates(o, sample, seed), sample.truth.columns.t());
  if (o.ambient > 0) {
    const at::Tensor& q = orthonormal.columns;  // spans all subspaces
    const at::Tensor outside = unit_noise({o.tokens, shape.width}, o.tails, derive_seed(seed, "ambient"));
    sample.z.add_(outside - at::matmul(at::matmul(outside, q), q.t()), o.ambient);
  }
  learn_bases(o, sample, seed);
  return sample;
}

double TokenMoments::snr() const {
  return std::sqrt(signal / noise);
}

std::vector<TokenMoments> expected_moments(const TokenModelOptions& o) {
  const TokenModelShape shape = shape_of(o);
  const double variance = o.delta * o.delta, heads = static_cast<double>(o.heads);
  double shared = 0;  // |U_j^T U_k|_F^2 for j != k
  for (const double angle : shape.angles) shared += std::cos(angle) * std::cos(angle);
  const double sum = static_cast<double>(std::accumulate(shape.dims.begin(), shape.dims.end(), int64_t{0}));
  std::vector<TokenMoments> out;
  for (const int64_t dim : shape.dims) {
    const double p = static_cast<double>(dim), others = sum - p - (heads - 1) * shared;  // sum over j != k of |U_j^T (I - U_k U_k^T)|_F^2
    TokenMoments moments;
    moments.signal = p + variance * (heads - 1) * shared;
    moments.noise = variance * others + o.ambient * o.ambient * (static_cast<double>(shape.width) - sum);
    if (o.between > 0) {  // such a token is (a U_k^T + b U_j^T) / sqrt 2 plus noise
      moments.signal += o.between / 2 * (shared - p);
      moments.noise += o.between / 2 * others / (heads - 1);
    }
    out.push_back(moments);
  }
  return out;
}

}  // namespace aot
