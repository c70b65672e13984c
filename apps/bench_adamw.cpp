// SPDX-License-Identifier: Apache-2.0
// aot bench adamw: what a training step does after its backward pass, on all parameters of a model.
#include <algorithm>
#include <vector>

#include <ATen/ops/randn.h>

#include "aot/core/device.h"
#include "aot/core/random.h"
#include "aot/ops/ceilings.h"
#include "aot/train/optimizer.h"
#include "apps/bench_model.h"

namespace aot {

void run_adamw(const BenchFlags& flags, const GeneralOptions& general) {
  const int64_t base = peak_resident_bytes();
  const LanguageModel model(flags.model, 0);
  Optimizer optimizer(model.parameters(), {});
  at::Generator generator = make_generator(1);
  std::vector<at::Tensor> gradients;
  for (const Parameter& parameter : optimizer.parameters())
    gradients.push_back(at::randn(parameter.value.sizes(), generator, at::TensorOptions(at::kFloat)));
  const auto fill = [&] {  // an update leaves zeros, and zeros for long would lead to moments below the smallest normal number
    for (size_t i = 0; i < gradients.size(); ++i) optimizer.parameters()[i].value.mutable_grad().copy_(gradients[i]);
  };
  const auto update = [&] { optimizer.update(1e-4, std::max(1.0, optimizer.gradient_norm())); };
  const Repeats times = timed(update, flags.seconds, 2, 3, fill);
  Json json = bench_row("clip, AdamW, zero", flags, times, base);
  const int64_t parameters = parameter_count(model.parameters());
  // Gradients read for the norm; then they, the weights and both moments read and written.
  const int64_t bytes = 36 * parameters;
  const double rate = static_cast<double>(bytes) / times.median_ms / 1e6, ceiling = measured_read_rate(bytes);
  json["parameters"] = counted_parameters(model);
  json["tokens_per_s"] = 1e3 * static_cast<double>(flags.batch * flags.model.context) / times.median_ms;
  json["moved_bytes"] = bytes;
  json["moved_gb_per_s"] = rate;
  json["ceiling_gb_per_s"] = ceiling;
  json["fraction"] = rate / ceiling;
  print_bench_row(json, general);
}

}  // namespace aot
