// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/mssa_reference.h"

#include <limits>

#include <ATen/ops/einsum.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/TensorOperators.h>

namespace aot {
namespace {

/// (T, T) bool, true = the query may read the key; `key_dim` says which of the two dimensions is the keys'. Undefined without a mask.
at::Tensor readable_keys(int64_t tokens, int64_t key_dim, const MssaReferenceOptions& options) {
  if (!options.causal) return {};
  const at::Tensor lower = at::ones({tokens, tokens}, at::kBool).tril();  // row = query
  return key_dim == 2 ? lower : lower.t();
}

/// How many keys each query may read, shaped to divide by.
at::Tensor key_count(const at::Tensor& scores, const at::Tensor& readable, int64_t key_dim) {
  return (readable.defined() ? readable : at::ones({scores.size(1), scores.size(2)}, at::kBool)).sum(key_dim - 1, true);
}

/// phi(scores) (B, T, T), each query by itself.
at::Tensor weights_of(const at::Tensor& scores, int64_t key_dim, const MssaReferenceOptions& options) {
  const at::Tensor readable = readable_keys(scores.size(1), key_dim, options);
  const auto hidden_as = [&](double value) { return readable.defined() ? scores.masked_fill(readable.logical_not(), value) : scores; };
  if (options.phi == Weighting::identity) return hidden_as(0);
  if (options.phi == Weighting::relu) return hidden_as(0).relu();
  if (options.phi == Weighting::relu_mean) return hidden_as(0).relu() / key_count(scores, readable, key_dim);
  const at::Tensor softmax = hidden_as(-std::numeric_limits<double>::infinity()).softmax(key_dim);
  return options.phi == Weighting::softmax ? softmax : options.tau * (softmax > options.tau).to(scores.scalar_type());
}

/// dL/dS from dL/dW, with rows as queries; `reads_out` is rowsum(dO * O).
at::Tensor scores_gradient(const at::Tensor& d_w, const at::Tensor& w, const at::Tensor& reads_out, const MssaReferenceOptions& options) {
  const at::Tensor readable = readable_keys(w.size(1), 2, options);
  switch (options.phi) {
    case Weighting::softmax:
      return w * (d_w - reads_out);
    case Weighting::softmax_threshold:
      return at::zeros_like(d_w);
    case Weighting::relu:
      return d_w * (w > 0);
    case Weighting::relu_mean:
      return d_w * (w > 0) / key_count(w, readable, 2);
    case Weighting::identity:
      break;
  }
  return readable.defined() ? d_w.masked_fill(readable.logical_not(), 0) : d_w;
}

}  // namespace

at::Tensor mssa_reference(const at::Tensor& z, const at::Tensor& u, const MssaReferenceOptions& options) {
  const at::Tensor columns = z.transpose(1, 2);  // Z (B, D, T)
  at::Tensor sum = at::zeros_like(columns);
  for (int64_t k = 0; k < u.size(0); ++k) {
    const at::Tensor projector = at::matmul(u[k], u[k].t());                                  // U_k U_k^T (D, D)
    const at::Tensor scores = options.scale * at::matmul(z, at::matmul(projector, columns));  // (B, T, T): row = key, column = query
    const at::Tensor phi = weights_of(scores, 1, options);
    sum = sum + at::matmul(projector, at::matmul(columns, phi));
  }
  return sum.transpose(1, 2);
}

MssaGradients mssa_backward_reference(const at::Tensor& g, const at::Tensor& z, const at::Tensor& u, const at::Tensor& w_out,
                                      const MssaReferenceOptions& options) {
  MssaGradients out;
  out.z = at::zeros_like(z);
  std::vector<at::Tensor> du, dr;
  for (int64_t k = 0; k < u.size(0); ++k) {
    const at::Tensor r = w_out.defined() ? w_out[k] : u[k].t();                                     // (P, D)
    const at::Tensor a = at::matmul(z, u[k]);                                                       // (B, T, P)
    const at::Tensor w = weights_of(options.scale * at::matmul(a, a.transpose(1, 2)), 2, options);  // row = query
    const at::Tensor o = at::matmul(w, a);
    const at::Tensor d_o = at::matmul(g, r.t());
    const at::Tensor d_s = scores_gradient(at::matmul(d_o, a.transpose(1, 2)), w, (d_o * o).sum(-1, true), options);
    const at::Tensor d_a = at::matmul(w.transpose(1, 2), d_o) + options.scale * at::matmul(d_s + d_s.transpose(1, 2), a);
    out.z = out.z + at::matmul(d_a, u[k].t());
    at::Tensor d_u = at::einsum("btd,btp->dp", {z, d_a});
    if (w_out.defined())
      dr.push_back(at::einsum("btp,btd->pd", {o, g}));
    else
      d_u = d_u + at::einsum("btd,btp->dp", {g, o});
    du.push_back(d_u);
  }
  out.u = at::stack(du);
  if (w_out.defined()) out.w_out = at::stack(dr);
  return out;
}

}  // namespace aot
