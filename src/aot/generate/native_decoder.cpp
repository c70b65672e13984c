// SPDX-License-Identifier: Apache-2.0
#include "aot/generate/native_decoder.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include "aot/generate/caches.h"
#include "aot/generate/packed_model.h"
#include "aot/generate/team.h"
#include "aot/io/error.h"
#include "aot/ops/norm.h"

namespace aot {
namespace {

constexpr int64_t kBytesPerThread = 1 << 19;  // weights below which another thread costs more than it reads
constexpr int64_t kPartTokens = 1024;         // a long cache of few heads is read in parts of so many tokens
constexpr int64_t kHeadsEnough = 32;  // heads of a model from which on a head is one piece of work, whatever the batch: bits depend on it

int64_t padded(int64_t rows) {
  return weight_panels(rows) * kWeightPanel;
}

int64_t threads_for(int64_t weight_bytes) {
  return std::clamp<int64_t>(weight_bytes / kBytesPerThread, 1, at::get_num_threads());
}

class NativePath : public DecodePath {
 public:
  NativePath(const LanguageModel& model, const DecoderOptions& options)
      : model_(model),
        shape_(model.options()),
        sequences_(options.batch),
        weights_(model, options.format),
        caches_(shape_, options.batch, options.max_tokens, options.format, options.two_caches),
        value_offset_(shape_.mixer == "mssa" ? 0 : 2 * shape_.heads * shape_.head_dim),
        team_(threads_for(weights_.bytes())),
        parts_(shape_.heads < kHeadsEnough ? (options.max_tokens + kPartTokens - 1) / kPartTokens : 1) {
    const int64_t inner = shape_.heads * shape_.head_dim, batch = options.batch;
    const auto rows = [&](int64_t count, int64_t stride) { return at::zeros({count, stride}, at::kFloat); };
    z_ = rows(batch, padded(shape_.width));
    x_ = rows(batch * team_.shares(), padded(shape_.width));
    projected_ = rows(batch, padded(value_offset_ + inner));
    heads_ = rows(batch, padded(inner));
    if (shape_.block == BlockKind::mlp) inner_ = rows(batch, padded(4 * shape_.width));
    logits_ = rows(batch, padded(shape_.vocab_size));
    scratch_ = rows(team_.shares(), (attend_scratch(shape_.head_dim) + 15) / 16 * 16);
    if (parts_ > 1) {
      part_outs_ = rows(batch * shape_.heads * parts_, shape_.head_dim);
      part_sums_ = rows(batch * shape_.heads, parts_);
      parts_left_ = std::vector<std::atomic<int64_t>>(static_cast<size_t>(batch * shape_.heads));
    }
  }

  void read(std::span<const int32_t> ids, int64_t count) override {
    if (held_ == 0 && count > 1) {
      // One after the other, so that a sequence has the bits that it has alone whatever LibTorch's products make of more rows.
      for (int64_t row = 0; row < sequences_; ++row) read_at_once(row, ids.subspan(static_cast<size_t>(row * count), count));
      held_ = count;
      return;
    }
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t row = 0; row < sequences_; ++row) weights_.embed(ids[row * count + i], held_, z(row));
      ++held_;
      team_.run([this](Team::Member& member) { step(member); });
    }
  }

  [[nodiscard]] std::span<const float> logits(int64_t row) const override {
    return {logits_.const_data_ptr<float>() + row * logits_.size(1), static_cast<size_t>(shape_.vocab_size)};
  }
  [[nodiscard]] int64_t tokens() const override { return held_; }
  void truncate(int64_t tokens) override {
    TORCH_CHECK_VALUE(tokens >= 0 && tokens <= held_, "decoder: cannot be cut to ", tokens, " tokens, it holds ", held_);
    held_ = tokens;
  }
  [[nodiscard]] bool can_truncate() const override { return true; }
  void reorder(std::span<const int64_t> rows) override {
    caches_.reorder(rows, held_);
    sequences_ = static_cast<int64_t>(rows.size());
  }
  [[nodiscard]] DecoderBytes bytes() const override {
    return {.weights = weights_.bytes(), .state = caches_.bytes(), .read = weights_.bytes() + caches_.bytes_of_tokens(sequences_, held_)};
  }

 private:
  [[nodiscard]] float* z(int64_t row) { return z_.mutable_data_ptr<float>() + row * z_.size(1); }

  /// The prompt of one sequence by the model's own forward pass, whose projections fill its caches.
  void read_at_once(int64_t row, std::span<const int32_t> ids) {
    const c10::InferenceMode guard;
    const auto count = static_cast<int64_t>(ids.size());
    const at::Tensor tensor = at::empty({1, count}, at::kLong);
    std::copy(ids.begin(), ids.end(), tensor.data_ptr<int64_t>());
    Taps taps;
    for (int64_t l = 0; l < shape_.layers; ++l) caches_.fill_from(taps, l, row);
    const at::Tensor hidden = model_.hidden(tensor, {.taps = &taps}).select(1, count - 1).to(at::kFloat).contiguous();  // (1, D)
    std::copy_n(hidden.const_data_ptr<float>(), shape_.width, z(row));
    const at::Tensor logits = logits_.narrow(0, row, 1);
    team_.run([&](Team::Member& member) { product(member, weights_.head(), z(row), z_.size(1), logits, ProductEnd::store, 1); });
  }

  /// One token of each sequence, z holding their embeddings.
  void step(Team::Member& member) {
    for (size_t l = 0; l < weights_.layers().size(); ++l) {
      const PackedLayer& layer = weights_.layers()[l];
      const float* x = normalised(member, layer.norm);
      product(member, layer.project, x, z_.size(1), projected_, ProductEnd::store);
      member.wait_for_all();
      attend(member, static_cast<int64_t>(l));
      member.wait_for_all();
      if (layer.gate) {
        product(member, *layer.gate, x, z_.size(1), heads_, ProductEnd::gate);
        member.wait_for_all();
      }
      product(member, layer.output, heads_.const_data_ptr<float>(), heads_.size(1), z_, ProductEnd::add);
      member.wait_for_all();
      if (layer.mlp_in) {
        product(member, *layer.mlp_in, normalised(member, layer.mlp_norm), z_.size(1), inner_, layer.activation);
        member.wait_for_all();
        product(member, *layer.mlp_out, inner_.const_data_ptr<float>(), inner_.size(1), z_, ProductEnd::add);
        member.wait_for_all();
      }
    }
    product(member, weights_.head(), normalised(member, weights_.final_norm()), z_.size(1), logits_, ProductEnd::store);
  }

  void product(const Team::Member& member, const PackedLinear& linear, const float* x, int64_t x_stride, const at::Tensor& out,
               ProductEnd end) {
    product(member, linear, x, x_stride, out, end, sequences_);
  }
  /// Of the first `rows` rows of x and out.
  static void product(const Team::Member& member, const PackedLinear& linear, const float* x, int64_t x_stride, const at::Tensor& out,
                      ProductEnd end, int64_t rows) {
    const auto [first, last] = member.part_of(weight_panels(linear.w.rows));
    decode_product({.w = linear.w,
                    .batch = rows,
                    .x = x,
                    .x_stride = x_stride,
                    .bias = linear.bias,
                    .out = out.mutable_data_ptr<float>(),
                    .out_stride = out.size(1),
                    .end = end,
                    .step = linear.step,
                    .steps = linear.steps},
                   first, last);
  }

  /// The normalised tokens (B, D). One is normalised by every member for itself, several are shared out.
  const float* normalised(Team::Member& member, const PackedNorm& norm) {
    const bool shared = sequences_ > 1;
    float* out = x_.mutable_data_ptr<float>() + (shared ? 0 : member.index() * x_.size(1));
    const auto [first, last] = shared ? member.part_of(sequences_) : std::pair<int64_t, int64_t>{0, 1};
    for (int64_t row = first; row < last; ++row)
      decode_norm(norm.formula, z(row), norm.weight, norm.bias, static_cast<float>(kNormEpsilon), shape_.width, out + row * x_.size(1));
    if (shared) member.wait_for_all();
    return out;
  }

  void attend(const Team::Member& member, int64_t layer) {
    const int64_t parts = parts_ > 1 ? (held_ + kPartTokens - 1) / kPartTokens : 1;
    const auto [first, last] = member.part_of(sequences_ * shape_.heads * parts);
    for (int64_t task = first; task < last; ++task) attend_head(member, layer, task / parts, task % parts, parts);
  }

  /// One part of the tokens of one head of one sequence; who reads the newest token stores it first.
  void attend_head(const Team::Member& member, int64_t layer, int64_t head, int64_t part, int64_t parts) {
    const int64_t dim = shape_.head_dim;
    const int64_t row = head / shape_.heads, k = head % shape_.heads;
    const float* query = projected_.const_data_ptr<float>() + row * projected_.size(1) + k * dim;
    float* scratch = scratch_.mutable_data_ptr<float>() + member.index() * scratch_.size(1);
    const CacheView& cache = caches_.layer(layer);
    const bool newest = part == parts - 1;
    if (newest) decode_append(cache, head, held_ - 1, query + value_offset_ / 2, query + value_offset_, scratch);

    float* out = heads_.mutable_data_ptr<float>() + row * heads_.size(1) + k * dim;
    AttendParams params{.cache = cache,
                        .q = query,
                        .head = head,
                        .tokens = held_,
                        .begin = part * kPartTokens,
                        .end = newest ? held_ : (part + 1) * kPartTokens,
                        .scale = 1 / std::sqrt(static_cast<float>(dim)),
                        .out = out,
                        .scratch = scratch};
    if (parts == 1) return decode_attend(params);
    float* outs = part_outs_.mutable_data_ptr<float>() + head * parts_ * dim;
    float* sums = part_sums_.mutable_data_ptr<float>() + head * parts_;
    params.out = outs + part * dim;
    params.log_sum = sums + part;
    decode_attend(params);
    std::atomic<int64_t>& done = parts_left_[static_cast<size_t>(head)];
    if (done.fetch_add(1, std::memory_order_acq_rel) + 1 < parts) return;
    done.store(0, std::memory_order_relaxed);  // the last to come joins them, in the order of the tokens
    decode_merge(outs, sums, parts, dim, out);
  }

  const LanguageModel& model_;
  LanguageOptions shape_;
  int64_t sequences_;  // of those that the buffers have room for
  PackedModel weights_;
  Caches caches_;
  int64_t value_offset_;  // of a projected row: queries, keys and values lie so far apart, or are the same
  Team team_;
  int64_t parts_;  // most parts of a head
  int64_t held_ = 0;
  at::Tensor z_, x_, projected_, heads_, inner_, logits_, scratch_;
  at::Tensor part_outs_, part_sums_;  // (B K, parts, P), (B K, parts)
  std::vector<std::atomic<int64_t>> parts_left_;
};

}  // namespace

std::unique_ptr<DecodePath> make_native_path(const LanguageModel& model, const DecoderOptions& options) {
  return std::make_unique<NativePath>(model, options);
}

}  // namespace aot
