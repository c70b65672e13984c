// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/caches.h"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/Parallel.h>

#include "aot/io/error.h"
#include "aot/ops/rotary.h"

namespace aot {

namespace {

int64_t padded(int64_t tokens) {
  return (tokens + kCachePanel - 1) / kCachePanel * kCachePanel;
}

}  // namespace

Caches::Caches(const LanguageOptions& model, int64_t batch, int64_t max_tokens, NumberFormat format, bool two)
    : subspaces_(model.mixer == "mssa"), two_(two || !subspaces_), batch_(batch), heads_(model.heads) {
  const int64_t tokens = padded(max_tokens);
  if (model.rotary) {
    const RotaryTable table(tokens, model.head_dim);
    cos_ = table.cos(0, tokens, at::kFloat);
    sin_ = table.sin(0, tokens, at::kFloat);
  }
  const auto rows = [&] {
    return memory_.emplace_back(at::empty({batch * heads_, tokens * model.head_dim * bytes_of(format)}, at::kByte)).mutable_data_ptr();
  };
  const auto scales = [&]() -> float* {
    if (format != NumberFormat::int8) return nullptr;
    return memory_.emplace_back(at::zeros({batch * heads_, tokens}, at::kFloat)).mutable_data_ptr<float>();
  };
  for (int64_t l = 0; l < model.layers; ++l) {
    CacheView view{.format = format, .heads = batch * heads_, .dim = model.head_dim, .tokens = tokens};
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

int64_t Caches::bytes_of_tokens(int64_t sequences, int64_t tokens) const {
  return bytes() / batch_ * sequences / layers_.front().tokens * padded(tokens);
}

void Caches::fill_from(Taps& taps, int64_t index, int64_t sequence) {
  const std::string layer = str("layers.", index, ".");
  if (subspaces_) {
    taps.listen(layer + "projections", [this, index, sequence](const std::string&, const at::Tensor& rows) {
      fill(index, sequence, rows, rows);
      return rows;
    });
    return;
  }
  taps.listen(layer + "keys", [this](const std::string&, const at::Tensor& keys) { return keys_ = keys; });
  taps.listen(layer + "values", [this, index, sequence](const std::string&, const at::Tensor& values) {
    fill(index, sequence, keys_, values);
    keys_.reset();
    return values;
  });
}

/// keys, values (1, K, n, P): tokens 0 .. n - 1.
void Caches::fill(int64_t index, int64_t sequence, const at::Tensor& keys, const at::Tensor& values) {
  const at::Tensor key = keys.to(at::kFloat), value = subspaces_ ? key : values.to(at::kFloat);
  const CacheView& cache = layer(index);
  const int64_t tokens = key.size(2);
  const float* key_data = key.const_data_ptr<float>();
  const float* value_data = value.const_data_ptr<float>();
  const at::IntArrayRef key_strides = key.strides(), value_strides = value.strides();
  TORCH_INTERNAL_ASSERT(key_strides[3] == 1 && value_strides[3] == 1);
  at::parallel_for(0, heads_, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(cache.dim));
    for (int64_t head = begin; head < end; ++head) {
      const float* k = key_data + head * key_strides[1];
      const float* v = value_data + head * value_strides[1];
      for (int64_t t = 0; t < tokens; ++t)
        decode_append(cache, sequence * heads_ + head, t, k + t * key_strides[2], v + t * value_strides[2], scratch.data());
    }
  });
}

void Caches::reorder(std::span<const int64_t> rows, int64_t tokens) {
  bool moved = false;
  for (size_t i = 0; i < rows.size(); ++i) moved = moved || rows[i] != static_cast<int64_t>(i);
  if (!moved) return;
  for (const at::Tensor& each : memory_) {
    const at::Tensor by_row = each.view({batch_, heads_, -1});  // panels of 16 tokens one behind the other, or scales
    const at::Tensor used = by_row.narrow(2, 0, by_row.size(2) / layers_.front().tokens * padded(tokens)), before = used.clone();
    for (size_t i = 0; i < rows.size(); ++i)
      if (rows[i] != static_cast<int64_t>(i)) used.select(0, static_cast<int64_t>(i)).copy_(before.select(0, rows[i]));
  }
}

}  // namespace aot
