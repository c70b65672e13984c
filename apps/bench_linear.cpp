// SPDX-License-Identifier: Apache-2.0
// aot bench linear: the three products of a linear layer, and the layer with its gradients, ours and LibTorch's in turns.
#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/autograd.h>

#include "aot/core/device.h"
#include "aot/core/random.h"
#include "aot/ops/linear.h"
#include "aot/ops/matmul.h"
#include "apps/bench.h"
#include "apps/bench_support.h"

namespace aot {
namespace {

struct LinearFlags {
  int64_t rows = 2048, inputs = 384, outputs = 384;
  std::string dtype = "float32";
  double seconds = 3;
};

void describe(Fields& fields, LinearFlags& flags) {
  fields.heading("Bench");
  fields.add("rows", flags.rows, "rows M: tokens of a batch").min(1).max(1 << 20);
  fields.add("inputs", flags.inputs, "width K of a row").min(1).max(1 << 20);
  fields.add("outputs", flags.outputs, "width N of the result").min(1).max(1 << 20);
  fields.add("dtype", flags.dtype, "number format").choices({"float32", "bfloat16"});
  fields.add("seconds", flags.seconds, "time to measure each row for").above(0).max(3600);
}

/// Largest difference of the first rows of `out` from left * right in float64, as a share of the largest number there.
double error_of(const at::Tensor& out, const at::Tensor& left, const at::Tensor& right) {
  const int64_t sample = std::min<int64_t>(16, out.size(0));
  const at::Tensor exact = at::mm(left.narrow(0, 0, sample).to(at::kDouble), right.to(at::kDouble));
  return relative_error(out.narrow(0, 0, sample), exact);
}

struct Bench {
  const LinearFlags& flags;
  bool json;
  Ceilings ceilings;

  [[nodiscard]] Comparison row(const char* what, double products) const {
    const double flop = 2 * products * static_cast<double>(flags.rows) * static_cast<double>(flags.inputs * flags.outputs);
    return {.what = what,
            .dtype = flags.dtype,
            .shape = {{"rows", flags.rows}, {"inputs", flags.inputs}, {"outputs", flags.outputs}},
            .flop = flop};
  }

  void product(const char* what, const at::Tensor& left, const at::Tensor& right) const {
    const at::Tensor own = at::empty({left.size(0), right.size(1)}, left.options());
    at::Tensor library = at::empty_like(own);
    Comparison c = row(what, 1);
    c.ours = [&] { multiply_into(own, left, right); };
    c.theirs = [&] { at::mm_out(library, left, right); };
    c.ours();
    c.theirs();
    c.error = error_of(own, left, right);
    c.their_error = error_of(library, left, right);
    compare(c, ceilings, flags.seconds, json);
  }

  void layer(const at::Tensor& x, const at::Tensor& w, const at::Tensor& gradient) const {
    const at::Tensor input = x.detach().requires_grad_(), weight = w.detach().requires_grad_();
    const auto backward = [&](const at::Tensor& out) { return torch::autograd::grad({out}, {input, weight}, {gradient}); };
    Comparison c = row("layer forward+backward", 3);
    c.ours = [&] { (void)backward(linear_layer(input, weight)); };
    c.theirs = [&] { (void)backward(at::linear(input, weight)); };
    c.error = error_of(backward(linear_layer(input, weight))[1], gradient.t(), x);
    c.their_error = error_of(backward(at::linear(input, weight))[1], gradient.t(), x);
    compare(c, ceilings, flags.seconds, json);
  }
};

void run(const LinearFlags& flags, const GeneralOptions& general) {
  const auto generator = make_generator(1);
  const auto random = [&](int64_t rows, int64_t cols) {
    return at::randn({rows, cols}, generator, at::TensorOptions(at::kFloat)).to(parse_dtype(flags.dtype));
  };
  const at::Tensor x = random(flags.rows, flags.inputs), w = random(flags.outputs, flags.inputs), dy = random(flags.rows, flags.outputs);
  const Bench bench{flags, general.json, measured_ceilings()};
  bench.product("Y = X W^T", x, w.t());
  bench.product("dX = dY W", dy, w);
  bench.product("dW = dY^T X", dy.t(), x);
  bench.layer(x, w, dy);
}

}  // namespace

void add_bench_linear(CLI::App& bench, GeneralOptions& general) {
  add_bench<LinearFlags>(bench, general,
                         {"linear", "the products of a linear layer, beside LibTorch's",
                          "  aot bench linear --rows 2048 --inputs 384 --outputs 1536\n  aot bench linear --dtype bfloat16 --json\n"},
                         describe, run);
}

}  // namespace aot
