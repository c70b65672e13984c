// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/decoder.h"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>

#include "aot/core/text.h"
#include "aot/generate/native_decoder.h"
#include "aot/generate/packed_model.h"
#include "aot/io/error.h"

namespace aot {
namespace {

/// Every mixer that decodes at all, on any device, through LibTorch's operators.
class PlainPath : public DecodePath {
 public:
  PlainPath(const LanguageModel& model, const DecoderOptions& options)
      : model_(model), device_(model.parameters().front().value.device()), state_(model.make_state(options.batch, options.max_tokens)) {}

  void read(std::span<const int32_t> ids, int64_t count) override {
    const c10::InferenceMode guard;
    const at::Tensor tensor = at::empty({static_cast<int64_t>(ids.size()) / count, count}, at::kLong);
    std::copy(ids.begin(), ids.end(), tensor.data_ptr<int64_t>());
    logits_ = model_.step(tensor.to(device_), state_).to(at::kCPU, at::kFloat).contiguous();  // (B, V)
  }
  [[nodiscard]] std::span<const float> logits(int64_t row) const override {
    const int64_t vocab = logits_.size(1);
    return {logits_.const_data_ptr<float>() + row * vocab, static_cast<size_t>(vocab)};
  }
  [[nodiscard]] int64_t tokens() const override { return state_.tokens(); }
  void truncate(int64_t tokens) override {
    const c10::InferenceMode guard;
    state_.truncate(tokens);
  }
  [[nodiscard]] bool can_truncate() const override { return model_.blocks().front().mixer().capabilities().truncate; }
  void reorder(std::span<const int64_t> rows) override {
    const c10::InferenceMode guard;
    const at::Tensor index = at::empty({static_cast<int64_t>(rows.size())}, at::kLong);
    std::copy(rows.begin(), rows.end(), index.data_ptr<int64_t>());
    state_.reorder(index.to(device_));
  }
  [[nodiscard]] DecoderBytes bytes() const override { return {.state = state_.bytes()}; }

 private:
  const LanguageModel& model_;
  at::Device device_;
  LanguageState state_;
  at::Tensor logits_;
};

DecoderOptions resolved(DecoderOptions options, const LanguageOptions& model) {
  TORCH_CHECK_VALUE(options.batch >= 1, "decoder: batch must be at least 1, got ", options.batch);
  if (options.max_tokens == 0) options.max_tokens = model.context;
  TORCH_CHECK_VALUE(options.max_tokens >= 1 && (model.position == Position::none || options.max_tokens <= model.context),
                    "decoder: max_tokens must be 1 to the context of ", model.context, ", got ", options.max_tokens);
  return options;
}

constexpr std::pair<const char*, NumberFormat> kFormats[] = {
    {"float32", NumberFormat::float32}, {"bfloat16", NumberFormat::bfloat16}, {"int8", NumberFormat::int8}};

}  // namespace

std::vector<std::string> number_format_names() {
  std::vector<std::string> names;
  for (const auto& [name, format] : kFormats) names.emplace_back(name);
  return names;
}

NumberFormat parse_number_format(std::string_view name) {
  for (const auto& [known, format] : kFormats)
    if (name == known) return format;
  throw UsageError(str("no number format ", name), joined(number_format_names()));
}

int64_t most_sequences(const LanguageModel& model, int64_t tokens, NumberFormat format) {
  constexpr int64_t kMostSequences = 32, kMostCacheBytes = 1LL << 30;
  int64_t bytes = 0;
  for (const Block& block : model.blocks()) bytes += block.mixer().state_bytes(1, tokens, bytes_of(format));
  return std::clamp<int64_t>(kMostCacheBytes / std::max<int64_t>(bytes, 1), 1, kMostSequences);
}

Decoder::Decoder(const LanguageModel& model, const DecoderOptions& options)
    : options_(resolved(options, model.options())),
      vocab_size_(model.options().vocab_size),
      sequences_(options_.batch),
      native_(!options.plain && decodes_natively(model)) {
  if (!native_ && options_.format != NumberFormat::float32)
    throw UsageError(str("only softmax mixers on a processor decode in ", number_format_names()[static_cast<size_t>(options_.format)],
                         " (found mixer ", model.options().mixer, " on ", model.parameters().front().value.device().str(), ")"),
                     "leave the number format at float32");
  if (native_)
    path_ = make_native_path(model, options_);
  else
    path_ = std::make_unique<PlainPath>(model, options_);
}

void Decoder::read(std::span<const int32_t> ids, int64_t count) {
  TORCH_CHECK_VALUE(count >= 1 && static_cast<int64_t>(ids.size()) == sequences_ * count, "decoder: needs ", sequences_, " x ", count,
                    " ids, got ", ids.size());
  TORCH_CHECK_VALUE(tokens() + count <= options_.max_tokens, "decoder: made for ", options_.max_tokens, " tokens, got ", tokens() + count);
  for (const int32_t id : ids)
    TORCH_CHECK_VALUE(id >= 0 && id < vocab_size_, "decoder: token ", id, " is outside the vocabulary of ", vocab_size_);
  path_->read(ids, count);
}

void Decoder::reorder(std::span<const int64_t> rows) {
  const auto count = static_cast<int64_t>(rows.size());
  TORCH_CHECK_VALUE(count >= 1 && count <= options_.batch, "decoder: made for 1 to ", options_.batch, " sequences, got ", count);
  for (const int64_t row : rows) TORCH_CHECK_VALUE(row >= 0 && row < sequences_, "decoder: no sequence ", row, " among ", sequences_);
  path_->reorder(rows);
  sequences_ = count;
}

}  // namespace aot
