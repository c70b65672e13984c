// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/text.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/empty.h>
#include <ATen/ops/slice.h>
#include <c10/core/InferenceMode.h>

#include "aot/core/log.h"
#include "aot/core/non_finite.h"
#include "aot/core/signals.h"
#include "aot/eval/windows.h"
#include "aot/io/error.h"

namespace aot {
namespace {

constexpr int64_t kTokensPerBatch = 4096;  // enough to fill the matrix product at any width; activations stay small

/// Losses (B, T) of `count` windows of equal length from `index` on, float64 on the CPU. `ids` is (B, T + 1).
at::Tensor window_losses(const LanguageModel& model, const at::Tensor& ids, at::Device device) {
  const int64_t length = ids.size(1) - 1;
  const at::Tensor moved = ids.to(device);
  return model.token_losses(moved.slice(1, 0, length), moved.slice(1, 1, length + 1)).to(at::kCPU, at::kDouble).contiguous();
}

}  // namespace

std::optional<TextScore> score_text(const LanguageModel& model, const TokenSource& source, const Tokenizer* tokenizer, int64_t stride,
                                    bool progress) {
  const int64_t context = model.options().context;
  if (stride == 0) stride = context;
  if (stride < 1 || stride > context)
    throw UsageError(str("--stride: need 1 to ", context, ", the model's context (found ", stride, ")"),
                     "a longer one would leave tokens out");
  if (source.tokens < 2) throw Error(ExitCode::bad_file, str("need at least 2 tokens to score one (found ", source.tokens, ")"));

  const c10::InferenceMode guard;
  const at::Device device = model.parameters().front().value.device();
  const int64_t windows = window_count(source.tokens, context, stride);
  const int64_t batch = std::max<int64_t>(1, kTokensPerBatch / context);
  Progress line("evaluating", static_cast<double>(source.tokens - 1), "tokens");
  WindowMean mean;
  int64_t bytes = 0;

  for (int64_t index = 0; index < windows;) {
    if (stop_signal() != 0) return std::nullopt;
    const Window start = window_at(index, source.tokens, context, stride);
    int64_t count = 1;  // windows of equal length from here on; only the last of all may be shorter
    while (count < batch && index + count < windows && window_at(index + count, source.tokens, context, stride).length == start.length)
      ++count;

    const at::Tensor ids = at::empty({count, start.length + 1}, at::kLong);  // (B, T + 1)
    for (int64_t row = 0; row < count; ++row)
      source.read(start.first + row * stride, start.length + 1, ids.data_ptr<int64_t>() + row * (start.length + 1));
    const at::Tensor losses = window_losses(model, ids, device);  // (B, T)

    for (int64_t row = 0; row < count; ++row) {
      const Window window = window_at(index + row, source.tokens, context, stride);
      const int64_t skipped = window.length - window.scored;
      const double* loss = losses.data_ptr<double>() + row * window.length;
      const int64_t* target = ids.data_ptr<int64_t>() + row * (window.length + 1) + 1;
      double sum = 0;
      for (int64_t t = skipped; t < window.length; ++t) {
        sum += loss[t];
        if (tokenizer != nullptr) bytes += static_cast<int64_t>(tokenizer->bytes_of(static_cast<int32_t>(target[t])).size());
      }
      if (!std::isfinite(sum)) throw NonFiniteError(str("loss of window ", index + row, ", tokens ", window.first, " and on"));
      mean.add(sum, window.scored);
    }
    index += count;
    if (progress) line.update(static_cast<double>(mean.tokens()), str("loss ", mean.mean()));
  }

  TextScore score;
  score.protocol = stride == context ? "windows" : "strided";
  score.loss = mean.mean();
  score.standard_error = mean.standard_error();
  score.perplexity = std::exp(score.loss);
  score.tokens = mean.tokens();
  score.windows = mean.windows();
  score.bytes = bytes;
  if (bytes > 0) score.bits_per_byte = score.loss * static_cast<double>(score.tokens) / (std::log(2.0) * static_cast<double>(bytes));
  return score;
}

}  // namespace aot
