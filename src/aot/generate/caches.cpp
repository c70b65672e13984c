// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/caches.h"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/Parallel.h>

#include "aot/io/error.h"
#include "aot/ops/rotary.h"

namespace aot {

Caches::Caches(const LanguageOptions& model, int64_t batch, int64_t max_tokens, NumberFormat format, bool two)
    : subspaces_(model.mixer == "mssa"), two_(two || !subspaces_), batch_(batch), heads_(batch * model.heads) {
  const int64_t tokens = (max_tokens + kCachePanel - 1) / kCachePanel * kCachePanel;
  if (model.rotary) {
    const RotaryTable table(tokens, model.head_dim);
    cos_ = table.cos(0, tokens, at::kFloat);
    sin_ = table.sin(0, tokens, at::kFloat);
  }
  const auto rows = [&] {
    return memory_.emplace_back(at::empty({heads_, tokens * model.head_dim * bytes_of(format)}, at::kByte)).mutable_data_ptr();
  };
  const auto scales = [&]() -> float* {
    if (format != NumberFormat::int8) return nullptr;
    return memory_.emplace_back(at::zeros({heads_, tokens}, at::kFloat)).mutable_data_ptr<float>();
  };
  for (int64_t l = 0; l < model.layers; ++l) {
    CacheView view{.format = format, .heads = heads_, .dim = model.head_dim, .tokens = tokens};
    view.keys = rows();
    view.key_scales = scales();
    view.values = two_ ? rows() : view.keys;
    view.value_scales = two_ ? scales() : view.key_scales;
    if (cos_.defined()) {
      view.cos = cos_.const_data_ptr<float>();
      view.sin = sin_.const_data_ptr<float>();
    }
    layers_.push_back(view);
  }
}

int64_t Caches::bytes() const {
  int64_t total = 0;
  for (const at::Tensor& each : memory_) total += static_cast<int64_t>(each.nbytes());
  return total;
}

int64_t Caches::bytes_of_tokens(int64_t tokens) const {
  return bytes() / layers_.front().tokens * std::min((tokens + kCachePanel - 1) / kCachePanel * kCachePanel, layers_.front().tokens);
}

void Caches::fill_from(Taps& taps, int64_t index) {
  const std::string layer = str("layers.", index, ".");
  if (subspaces_) {
    taps.listen(layer + "projections", [this, index](const std::string&, const at::Tensor& rows) {
      fill(index, rows, rows);
      return rows;
    });
    return;
  }
  taps.listen(layer + "keys", [this](const std::string&, const at::Tensor& keys) { return keys_ = keys; });
  taps.listen(layer + "values", [this, index](const std::string&, const at::Tensor& values) {
    fill(index, keys_, values);
    keys_.reset();
    return values;
  });
}

/// keys, values (B, K, n, P): tokens 0 .. n - 1.
void Caches::fill(int64_t index, const at::Tensor& keys, const at::Tensor& values) {
  const at::Tensor key = keys.to(at::kFloat), value = subspaces_ ? key : values.to(at::kFloat);
  const CacheView& cache = layer(index);
  const int64_t heads = heads_ / batch_, tokens = key.size(2);
  const float* key_data = key.const_data_ptr<float>();
  const float* value_data = value.const_data_ptr<float>();
  const at::IntArrayRef key_strides = key.strides(), value_strides = value.strides();
  TORCH_INTERNAL_ASSERT(key_strides[3] == 1 && value_strides[3] == 1);
  at::parallel_for(0, heads_, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(cache.dim));
    for (int64_t head = begin; head < end; ++head) {
      const float* k = key_data + head / heads * key_strides[0] + head % heads * key_strides[1];
      const float* v = value_data + head / heads * value_strides[0] + head % heads * value_strides[1];
      for (int64_t t = 0; t < tokens; ++t) decode_append(cache, head, t, k + t * key_strides[2], v + t * value_strides[2], scratch.data());
    }
  });
}

void Caches::reorder(std::span<const int64_t> rows) {
  TORCH_CHECK_VALUE(static_cast<int64_t>(rows.size()) == batch_, "decoder: reorder needs ", batch_, " rows, got ", rows.size());
  for (const int64_t row : rows) TORCH_CHECK_VALUE(row >= 0 && row < batch_, "decoder: no sequence ", row, " in a batch of ", batch_);
  for (const at::Tensor& each : memory_) {
    at::Tensor by_row = each.view({batch_, -1});
    const at::Tensor before = by_row.clone();
    for (int64_t i = 0; i < batch_; ++i) by_row.select(0, i).copy_(before.select(0, rows[static_cast<size_t>(i)]));
  }
}

}  // namespace aot
