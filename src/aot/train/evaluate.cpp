// SPDX-License-Identifier: Apache-2.0
#include "aot/train/evaluate.h"

#include <algorithm>
#include <vector>

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include "aot/core/signals.h"

namespace aot {

WindowLoss mean_loss(const LanguageModel& model, const TokenFile& file, int64_t windows, int64_t batch) {
  const c10::NoGradGuard no_grad;
  const int64_t context = model.options().context, all = (file.tokens() - 1) / context;
  windows = std::min(windows, all);
  double sum = 0;
  for (int64_t first = 0; first < windows; first += batch) {
    if (stop_signal() != 0) return {};
    const int64_t rows = std::min(batch, windows - first);
    const at::Tensor tokens = at::empty({rows, context + 1}, at::kLong);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t window = (first + row) * all / windows;
      file.read(window * context, context + 1, tokens.mutable_data_ptr<int64_t>() + row * (context + 1));
    }
    const at::Device device = model.parameters().front().value.device();
    const at::Tensor on_device = tokens.to(device);
    sum += model.token_losses(on_device.narrow(1, 0, context), on_device.narrow(1, 1, context)).sum(at::kDouble).item<double>();
  }
  return {windows == 0 ? 0 : sum / static_cast<double>(windows * context), windows};
}

}  // namespace aot
