// SPDX-License-Identifier: Apache-2.0
// aot bench head: output head and cross-entropy, in chunks with our kernels, and with all logits at once by LibTorch's operators, in turns.
#include <algorithm>
#include <cmath>

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "aot/core/device.h"
#include "aot/core/random.h"
#include "aot/ops/cross_entropy.h"
#include "apps/bench.h"
#include "apps/bench_support.h"

namespace aot {
namespace {

struct HeadFlags {
  int64_t rows = 2048, width = 384, vocab_size = 50304;
  std::string dtype = "float32";
  double seconds = 5;
};

void describe(Fields& fields, HeadFlags& flags) {
  fields.heading("Bench");
  fields.add("rows", flags.rows, "rows: tokens of a batch").min(1).max(1 << 20);
  fields.add("width", flags.width, "width D").min(1).max(1 << 16);
  fields.add("vocab", flags.vocab_size, "vocabulary V").min(2).max(1 << 24);
  fields.add("dtype", flags.dtype, "number format").choices({"float32", "bfloat16"});
  fields.add("seconds", flags.seconds, "time to measure each row for").above(0).max(3600);
}

struct Inputs {
  at::Tensor x, head, targets;
};

using Loss = at::Tensor (*)(const Inputs&);

at::Tensor our_loss(const Inputs& in) {
  return linear_cross_entropy(in.x, in.head, in.targets);
}
at::Tensor their_loss(const Inputs& in) {
  return at::cross_entropy_loss(at::linear(in.x, in.head), in.targets);
}

std::vector<at::Tensor> gradients(const Inputs& in, Loss loss) {
  const Inputs leaves{in.x.detach().requires_grad_(), in.head.detach().requires_grad_(), in.targets};
  const at::Tensor value = loss(leaves);
  return torch::autograd::grad({value}, {leaves.x, leaves.head}, {at::ones_like(value)});
}

/// Largest difference of the gradient of x on a few rows from float64, as a share of the largest there.
double gradient_error(const Inputs& all, Loss loss) {
  const int64_t rows = std::min<int64_t>(32, all.x.size(0));
  const Inputs sample{all.x.narrow(0, 0, rows), all.head, all.targets.narrow(0, 0, rows)};
  const at::Tensor exact = gradients({sample.x.to(at::kDouble), sample.head.to(at::kDouble), sample.targets}, their_loss)[0];
  return relative_error(gradients(sample, loss)[0], exact);
}

double loss_error(const Inputs& all, Loss loss) {
  const c10::NoGradGuard no_grad;
  const int64_t rows = std::min<int64_t>(32, all.x.size(0));
  const Inputs sample{all.x.narrow(0, 0, rows), all.head, all.targets.narrow(0, 0, rows)};
  const double exact = their_loss({sample.x.to(at::kDouble), sample.head.to(at::kDouble), sample.targets}).item<double>();
  return std::abs(loss(sample).item<double>() / exact - 1);
}

void run(const HeadFlags& flags, const GeneralOptions& general) {
  const auto generator = make_generator(1);
  const auto random = [&](int64_t rows, double size) {
    return (at::randn({rows, flags.width}, generator, at::TensorOptions(at::kFloat)) * size).to(parse_dtype(flags.dtype));
  };
  const Inputs in{random(flags.rows, 1), random(flags.vocab_size, 0.05), at::randint(flags.vocab_size, {flags.rows}, generator, at::kLong)};
  const Ceilings ceilings = measured_ceilings();
  const auto row = [&](const char* what, double products) {
    const double flop = 2 * products * static_cast<double>(flags.rows) * static_cast<double>(flags.width * flags.vocab_size);
    return Comparison{.what = what,
                      .dtype = flags.dtype,
                      .shape = {{"rows", flags.rows}, {"width", flags.width}, {"vocab", flags.vocab_size}},
                      .flop = flop};
  };
  Comparison training = row("loss and gradients", 3);
  training.ours = [&] { (void)gradients(in, our_loss); };
  training.theirs = [&] { (void)gradients(in, their_loss); };
  training.error = gradient_error(in, our_loss);
  training.their_error = gradient_error(in, their_loss);
  compare(training, ceilings, flags.seconds, general.json);

  const c10::NoGradGuard no_grad;
  Comparison evaluation = row("loss", 1);
  evaluation.ours = [&] { (void)our_loss(in); };
  evaluation.theirs = [&] { (void)their_loss(in); };
  evaluation.error = loss_error(in, our_loss);
  evaluation.their_error = loss_error(in, their_loss);
  compare(evaluation, ceilings, flags.seconds, general.json);
}

}  // namespace

void add_bench_head(CLI::App& bench, GeneralOptions& general) {
  add_bench<HeadFlags>(bench, general,
                       {"head", "output head and cross-entropy, beside LibTorch's with all logits at once",
                        "  aot bench head --rows 2048 --width 384 --vocab 1000\n  aot bench head --vocab 50304 --json\n"},
                       describe, run);
}

}  // namespace aot
