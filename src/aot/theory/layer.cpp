// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/layer.h"

#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/TensorOperators.h>

#include "aot/ops/norm.h"

namespace aot {
namespace {

at::Tensor normalized(const at::Tensor& z, NormKind norm) {
  if (norm == NormKind::none) return z;
  const at::Tensor weight = at::ones({z.size(1)}, z.options());
  return norm == NormKind::layer ? layer_norm(z, weight) : rms_norm(z, weight);
}

}  // namespace

void describe(Fields& fields, LayerOptions& o) {
  fields.heading("Layer");
  fields.add("phi", o.phi,
             {{"threshold", Weighting::softmax_threshold},
              {"softmax", Weighting::softmax},
              {"relu", Weighting::relu},
              {"relu-mean", Weighting::relu_mean},
              {"identity", Weighting::identity}},
             "from scores to weights: the theorem's threshold on softmax, softmax, ReLU (also divided by N), the scores themselves");
  fields.add("eta", o.eta, "step size").above(0).max(1e3);
  fields.add("tau", o.tau, "threshold, and the weight of what passes it").above(0).max(1 - 1e-15);
  fields.add("scale", o.scale, "factor c of the scores; 0: p^-1/2").min(0).max(1e6);
  fields.add("norm", o.norm, {{"none", NormKind::none}, {"rms", NormKind::rms}, {"layer", NormKind::layer}}, "before the update");
  fields.add("renormalize", o.renormalize, "after the update give each token back its length");
  fields.add("form", o.form, {{"skip", LayerForm::skip}, {"convex", LayerForm::convex}}, "z + eta Y, or (1 - eta) z + eta Y");
}

std::vector<SoftmaxRows> apply_layer_(at::Tensor& z, const Subspaces& u, const LayerOptions& o, bool statistics) {
  const bool has_softmax = o.phi == Weighting::softmax || o.phi == Weighting::softmax_threshold;
  at::Tensor lengths;
  if (o.renormalize) lengths = z.norm(2, {1}, true);                  // (N, 1)
  const at::Tensor a = at::matmul(normalized(z, o.norm), u.columns);  // a statement of its own: the normalised tokens end with it
  StreamedHeads heads =
      mssa_heads_streamed(a, u.dims, {.scale = o.scale, .phi = o.phi, .tau = o.tau, .statistics = statistics && has_softmax});
  z.addmm_(heads.output, u.columns.t(), o.form == LayerForm::convex ? 1 - o.eta : 1, o.eta);
  if (o.renormalize) z.mul_(lengths / z.norm(2, {1}, true));
  return std::move(heads.rows);
}

double ideal_gain(const LayerOptions& o) {
  return 1 + o.eta * o.tau / (o.form == LayerForm::convex ? 1 - o.eta : 1);
}

}  // namespace aot
