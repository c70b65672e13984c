// SPDX-License-Identifier: Apache-2.0
// The paper's tokens and what is measured of them; the same measures for any tokens and bases.
#include <optional>
#include <string>
#include <vector>

#include <ATen/ops/cat.h>

#include "aot/io/error.h"
#include "aot/theory/bases.h"
#include "aot/theory/certificate.h"
#include "aot/theory/measures.h"
#include "aot/theory/presets.h"
#include "aot/theory/probe_measures.h"
#include "aot/theory/report.h"
#include "aot/theory/token_model.h"
#include "python/bindings/bindings.h"

namespace aot {
namespace {

using Bases = std::vector<at::Tensor>;  // U_k (D, p_k)

at::Tensor wide_matrix(const at::Tensor& tensor, const char* name, const char* shape) {
  TORCH_CHECK_VALUE(tensor.dim() == 2 && tensor.is_floating_point(), name, " must be ", shape, ", got ", tensor.sizes(), " ",
                    tensor.scalar_type());
  return tensor.detach().to(at::kCPU, at::kDouble).contiguous();
}

Subspaces subspaces_of(const Bases& bases, int64_t width = -1) {
  TORCH_CHECK_VALUE(!bases.empty(), "bases: need at least one");
  Subspaces out;
  Bases columns;
  for (const at::Tensor& basis : bases) {
    columns.push_back(wide_matrix(basis, "a basis", "(D, p)"));
    if (width < 0) width = basis.size(0);
    TORCH_CHECK_VALUE(basis.size(0) == width, "bases: all must be (D, p) with D = ", width, ", got ", basis.sizes());
    out.dims.push_back(basis.size(1));
  }
  out.columns = at::cat(columns, 1);
  return out;
}

Bases bases_of(const Subspaces& subspaces) {
  Bases out;
  for (int64_t k = 0; k < subspaces.count(); ++k) out.push_back(subspaces.basis(k));
  return out;
}

py::list rows_of(const std::vector<ClusterMeasures>& clusters) {
  py::list out;
  for (const ClusterMeasures& cluster : clusters) {
    py::dict row;
    row["signal"] = cluster.signal;
    row["noise"] = cluster.noise;
    row["snr"] = cluster.snr();
    out.append(row);
  }
  return out;
}

py::list snr(const at::Tensor& z, const Bases& bases, const std::vector<int64_t>& cluster_sizes) {
  TokenSample sample{.z = wide_matrix(z, "z", "(N, D)"), .cluster_sizes = cluster_sizes};
  sample.truth = subspaces_of(bases, sample.z.size(1));
  int64_t tokens = 0;
  for (const int64_t size : cluster_sizes) tokens += size;
  TORCH_CHECK_VALUE(cluster_sizes.size() == bases.size() && tokens == sample.z.size(0), "snr: need one cluster for each of ", bases.size(),
                    " bases and ", sample.z.size(0), " tokens in all, got ", cluster_sizes);
  return rows_of(unlocked([&] { return measure_tokens(sample.z, sample).clusters; }));
}

double rate(const at::Tensor& z, const std::optional<Bases>& bases, double eps_squared) {
  if (!(eps_squared > 0)) throw UsageError(str("coding_rate: eps_squared must be above 0 (found ", eps_squared, ")"));
  const at::Tensor wide = wide_matrix(z, "z", "(N, D)");
  if (!bases) return unlocked([&] { return coding_rate(gram_spectrum(wide), wide.size(0), wide.size(1), eps_squared); });
  const Subspaces subspaces = subspaces_of(*bases, wide.size(1));
  return unlocked([&] {
    double sum = 0;
    for (int64_t k = 0; k < subspaces.count(); ++k)
      sum += coding_rate(gram_spectrum(wide.mm(subspaces.basis(k))), wide.size(0), subspaces.dims[static_cast<size_t>(k)], eps_squared);
    return sum;
  });
}

/// SNR of tokens by head before and after a layer, as `aot theory probe` measures it.
py::tuple head_snr(const at::Tensor& before, const at::Tensor& after, const at::Tensor& u, int64_t heads) {
  const at::Tensor from = wide_matrix(before, "before", "(N, D)"), to = wide_matrix(after, "after", "(N, D)"),
                   rows = wide_matrix(u, "u", "(K P, D)");
  TORCH_CHECK_VALUE(from.sizes() == to.sizes() && rows.size(1) == from.size(1) && heads > 0 && rows.size(0) % heads == 0,
                    "head_snr: before and after must be (N, D), u (K P, D) with K = ", heads, ", got ", from.sizes(), ", ", to.sizes(),
                    ", ", rows.sizes());
  HeadSnr measure(orthonormal_heads(rows, heads));
  const at::Tensor labels = unlocked([&] { return measure.add(from, to); });
  return py::make_tuple(labels, rows_of(measure.before()), rows_of(measure.after()));
}

void bind_samples(py::module_& module) {
  py::class_<TokenSample>(module, "TokenSample")
      .def_readonly("z", &TokenSample::z)
      .def_readonly("cluster_sizes", &TokenSample::cluster_sizes)
      .def_property_readonly("bases", [](const TokenSample& sample) { return bases_of(sample.truth); })
      .def_property_readonly("known_bases", [](const TokenSample& sample) { return bases_of(sample.known); })
      .def_readonly("label_agreement", &TokenSample::label_agreement);
  module.def("sample_tokens", [](uint64_t seed, const py::kwargs& keywords) {
    TokenModelOptions options;
    set_keywords(options, keywords, "sample_tokens");
    return unlocked([&] { return sample_tokens(options, seed); });
  });
  module.def("certify_json", [](uint64_t seed, const std::optional<std::string>& preset, const py::kwargs& keywords) {
    DenoiseOptions options;
    set_keywords(options, keywords, "certify");
    if (preset) {  // its row for this delta, then the keywords over it
      options = find_theory_preset(*preset, keywords.contains("delta") ? std::optional(options.tokens.delta) : std::nullopt).options;
      set_keywords(options, keywords, "certify");
    }
    if (const std::string warning = require_window(options); !warning.empty() && PyErr_WarnEx(PyExc_UserWarning, warning.c_str(), 1) != 0)
      throw py::error_already_set();
    return unlocked([&] {
      const Certificate certificate = certify(options, seed, [](const LayerRecord&) { poll_signals(); });
      return dump_json(certificate_json(certificate, options));
    });
  });
}

}  // namespace

void bind_theory(py::module_& module) {
  bind_samples(module);
  module.def("snr", snr);
  module.def("coding_rate", rate);
  module.def("effective_rank", [](const at::Tensor& z) {
    const at::Tensor wide = wide_matrix(z, "z", "(N, D)");
    return unlocked([&] { return effective_rank(gram_spectrum(wide)); });
  });
  module.def("incoherence", [](const Bases& bases) { return incoherence(subspaces_of(bases)); });
  module.def("orthonormality_error", [](const Bases& bases) { return orthonormality_error(subspaces_of(bases)); });
  module.def("head_bases", [](const at::Tensor& u, int64_t heads) {
    const at::Tensor rows = wide_matrix(u, "u", "(K P, D)");
    TORCH_CHECK_VALUE(heads > 0 && rows.size(0) % heads == 0, "head_bases: u must be (K P, D) with K = ", heads, ", got ", rows.sizes());
    return bases_of(orthonormal_heads(rows, heads));
  });
  module.def("head_snr", head_snr);
  module.def("head_overlap", [](const Bases& bases) {
    const HeadOverlap overlap = unlocked([&] { return head_overlap(subspaces_of(bases)); });
    py::dict out;
    out["largest"] = overlap.largest;
    out["mean"] = overlap.mean;
    out["median_angle"] = overlap.median_angle;
    return out;
  });
}

}  // namespace aot
