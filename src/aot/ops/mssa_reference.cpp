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

/// (T, T) bool, true = row is hidden from column, both in the order given by `rows_are_queries`.
at::Tensor hidden_pairs(int64_t tokens, bool rows_are_queries) {
  const at::Tensor later = at::ones({tokens, tokens}, at::kBool).triu(1);  // column > row
  return rows_are_queries ? later : later.t();
}

}  // namespace

at::Tensor mssa_reference(const at::Tensor& z, const at::Tensor& u, const MssaReferenceOptions& options) {
  const at::Tensor columns = z.transpose(1, 2);  // Z (B, D, T)
  at::Tensor sum = at::zeros_like(columns);
  for (int64_t k = 0; k < u.size(0); ++k) {
    const at::Tensor projector = at::matmul(u[k], u[k].t());                         // U_k U_k^T (D, D)
    at::Tensor phi = options.scale * at::matmul(z, at::matmul(projector, columns));  // (B, T, T): row = key, column = query
    if (options.phi == Weighting::softmax) {
      if (options.causal) phi = phi.masked_fill(hidden_pairs(z.size(1), false), -std::numeric_limits<double>::infinity());
      phi = phi.softmax(1);
    } else if (options.causal) {
      phi = phi.masked_fill(hidden_pairs(z.size(1), false), 0);
    }
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
    const at::Tensor r = w_out.defined() ? w_out[k] : u[k].t();       // (P, D)
    const at::Tensor a = at::matmul(z, u[k]);                         // (B, T, P)
    at::Tensor w = options.scale * at::matmul(a, a.transpose(1, 2));  // S, then W: row = query
    if (options.phi == Weighting::softmax) {
      if (options.causal) w = w.masked_fill(hidden_pairs(z.size(1), true), -std::numeric_limits<double>::infinity());
      w = w.softmax(-1);
    } else if (options.causal) {
      w = w.masked_fill(hidden_pairs(z.size(1), true), 0);
    }
    const at::Tensor o = at::matmul(w, a);
    const at::Tensor d_o = at::matmul(g, r.t());
    at::Tensor d_w = at::matmul(d_o, a.transpose(1, 2));
    if (options.causal) d_w = d_w.masked_fill(hidden_pairs(z.size(1), true), 0);
    const at::Tensor d_s = options.phi == Weighting::softmax ? w * (d_w - (d_o * o).sum(-1, true)) : d_w;
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
