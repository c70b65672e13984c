// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/mssa_streamed.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

namespace aot {
namespace {

constexpr int64_t kTile = 256;                  // rows of a tile: 512 KiB of float64 scores stay in a second-level cache
constexpr int64_t kLookupScores = 1 << 22;      // scores held when keys are looked up
constexpr double kLargestNormRange = 1200;      // exp(-600) is a normal float64; what underflows weighs less than exp(-100)
constexpr double kLargestNormRangeFloat = 140;  // the same for float32
constexpr double kNever = -std::numeric_limits<double>::infinity();

/// One head: rows a (T, P), and b = sqrt(c) a, so that scores are b b^T.
class Head {
 public:
  Head(const at::Tensor& rows, const MssaStreamedOptions& options)
      : options_(options),
        scale_(options.scale > 0 ? options.scale : 1 / std::sqrt(static_cast<double>(rows.size(1)))),
        a_(rows.contiguous()),
        b_(scale_ == 1 ? a_ : std::sqrt(scale_) * a_),
        tokens_(a_.size(0)),
        norms_(b_.square().sum(1)) {}

  at::Tensor run(SoftmaxRows& rows) {
    switch (options_.phi) {
      case Weighting::identity:
        return at::matmul(b_, at::matmul(b_.t(), a_));
      case Weighting::relu:
        return rectified();
      case Weighting::relu_mean:
        return rectified().div_(tokens_);
      case Weighting::softmax:
      case Weighting::softmax_threshold:
        break;
    }
    const bool threshold = options_.phi == Weighting::softmax_threshold;
    keep_other_ = options_.statistics || threshold;
    const at::Tensor softmax = averaged(/*keep=*/!threshold || options_.statistics);
    if (!keep_other_) return softmax;
    rows.own = (norms_ - log_sum_).exp_();
    rows.other = (other_ - log_sum_).exp_();
    rows.other_at = keys_above_threshold(rows.other);
    if (options_.statistics) rows.entropy = log_sum_ - scale_ * (a_ * softmax).sum(1);  // sum_j W_ij S_ij = c a_i . o_i
    if (!threshold) return softmax;
    return options_.tau >= 0.5 ? picked(rows) : survivors();
  }

 private:
  [[nodiscard]] at::Tensor block(const at::Tensor& of, int64_t first) const {
    return of.narrow(0, first, std::min(kTile, tokens_ - first));
  }

  /// Scores of the rows of two blocks, in the scratch tile.
  at::Tensor scores(int64_t i, int64_t j) {
    if (!tile_.defined()) tile_ = at::empty({std::min(kTile, tokens_) * std::min(kTile, tokens_)}, a_.options());
    const at::Tensor rows = block(b_, i), columns = block(b_, j);
    at::Tensor s = tile_.narrow(0, 0, rows.size(0) * columns.size(0)).view({rows.size(0), columns.size(0)});
    at::mm_out(s, rows, columns.t());
    return s;
  }

  at::Tensor rectified() {
    at::Tensor out = at::zeros_like(a_);
    for (int64_t i = 0; i < tokens_; i += kTile)
      for (int64_t j = i; j < tokens_; j += kTile) {
        const at::Tensor s = scores(i, j).clamp_min_(0);
        block(out, i).addmm_(s, block(a_, j));
        if (i != j) block(out, j).addmm_(s.t(), block(a_, i));
      }
    return out;
  }

  /// softmax(b b^T) a, or undefined unless `keep`; fills log_sum_, and other_ when it is wanted.
  at::Tensor averaged(bool keep) {
    if (keep_other_) other_ = at::full({tokens_}, kNever, a_.options());
    const double range = (norms_.max() - norms_.min()).item<double>();
    const bool narrow = range <= (a_.scalar_type() == at::kDouble ? kLargestNormRange : kLargestNormRangeFloat);
    return narrow ? averaged_symmetric(keep) : averaged_running(keep);
  }

  /// Takes the largest score of each row, and of each column when the tile is off the diagonal, leaving out each token's own.
  void note_other(const at::Tensor& s, int64_t i, int64_t j) {
    if (!keep_other_) return;
    if (i == j) s.diagonal().fill_(kNever);
    at::Tensor of_rows = block(other_, i);
    at::maximum_out(of_rows, of_rows, s.amax(1));
    if (i == j) {
      s.diagonal().copy_(block(norms_, i));
      return;
    }
    at::Tensor of_columns = block(other_, j);
    at::maximum_out(of_columns, of_columns, s.amax(0));
  }

  at::Tensor averaged_symmetric(bool keep) {
    const at::Tensor half = norms_ / 2, largest = half.max();
    const at::Tensor g = (half - largest).exp_(), ga = keep ? g.unsqueeze(1) * a_ : at::Tensor();
    at::Tensor sum = at::zeros({tokens_}, a_.options()), out = keep ? at::zeros_like(a_) : at::Tensor();
    for (int64_t i = 0; i < tokens_; i += kTile)
      for (int64_t j = i; j < tokens_; j += kTile) {
        const at::Tensor s = scores(i, j);
        note_other(s, i, j);
        s.sub_(block(half, i).unsqueeze(1)).sub_(block(half, j)).exp_();  // E
        block(sum, i).add_(at::mv(s, block(g, j)));
        if (keep) block(out, i).addmm_(s, block(ga, j));
        if (i == j) continue;
        block(sum, j).add_(at::mv(s.t(), block(g, i)));
        if (keep) block(out, j).addmm_(s.t(), block(ga, i));
      }
    log_sum_ = sum.log() + half + largest;
    return keep ? out.div_(sum.unsqueeze(1)) : out;
  }

  at::Tensor averaged_running(bool keep) {
    at::Tensor out = keep ? at::zeros_like(a_) : at::Tensor();
    log_sum_ = at::empty({tokens_}, a_.options());
    for (int64_t i = 0; i < tokens_; i += kTile) {
      at::Tensor largest = at::full({block(a_, i).size(0)}, kNever, a_.options()), sum = at::zeros_like(largest);
      for (int64_t j = 0; j < tokens_; j += kTile) {
        const at::Tensor s = scores(i, j);
        if (keep_other_ && i == j) s.diagonal().fill_(kNever);
        at::Tensor in_tile = s.amax(1);
        if (keep_other_) block(other_, i).copy_(at::maximum(block(other_, i), in_tile));
        if (keep_other_ && i == j) {
          s.diagonal().copy_(block(norms_, i));
          in_tile = at::maximum(in_tile, block(norms_, i));
        }
        const at::Tensor raised = at::maximum(largest, in_tile), correction = (largest - raised).exp_();
        s.sub_(raised.unsqueeze(1)).exp_();
        sum = sum * correction + s.sum(1);
        if (keep) block(out, i).mul_(correction.unsqueeze(1)).addmm_(s, block(a_, j));
        largest = raised;
      }
      if (keep) block(out, i).div_(sum.unsqueeze(1));
      block(log_sum_, i).copy_(largest + sum.log());
    }
    return out;
  }

  /// For rows whose `other` exceeds tau: which token that is. Few rows, until the theorem's pattern breaks.
  at::Tensor keys_above_threshold(const at::Tensor& other) {
    at::Tensor keys = at::full({tokens_}, -1, at::kLong);
    const at::Tensor rows = (other > options_.tau).nonzero().flatten();
    const int64_t step = std::max<int64_t>(1, kLookupScores / tokens_);
    for (int64_t first = 0; first < rows.size(0); first += step) {
      const at::Tensor some = rows.narrow(0, first, std::min(step, rows.size(0) - first));
      const at::Tensor s = at::matmul(b_.index_select(0, some), b_.t()).scatter_(1, some.unsqueeze(1), kNever);
      keys.index_copy_(0, some, s.argmax(1));
    }
    return keys;
  }

  /// tau >= 1/2: at most one probability of a row exceeds it.
  [[nodiscard]] at::Tensor picked(const SoftmaxRows& rows) const {
    at::Tensor out = options_.tau * a_ * (rows.own > options_.tau).unsqueeze(1);
    const at::Tensor strangers = (rows.other_at >= 0).nonzero().flatten();
    return out.index_copy_(0, strangers, options_.tau * a_.index_select(0, rows.other_at.index_select(0, strangers)));
  }

  /// tau < 1/2: any number of keys may pass, so scores are made again against the known sums.
  at::Tensor survivors() {
    at::Tensor out = at::zeros_like(a_);
    for (int64_t i = 0; i < tokens_; i += kTile)
      for (int64_t j = 0; j < tokens_; j += kTile) {
        const at::Tensor w = scores(i, j).sub_(block(log_sum_, i).unsqueeze(1)).exp_();
        block(out, i).addmm_((w > options_.tau).to(a_.scalar_type()), block(a_, j), 1, options_.tau);
      }
    return out;
  }

  const MssaStreamedOptions& options_;
  double scale_;
  at::Tensor a_, b_;
  int64_t tokens_;
  at::Tensor norms_;            // (T,) S_ii
  at::Tensor log_sum_, other_;  // (T,) log sum_j exp S_ij; max over j != i of S_ij
  bool keep_other_ = false;
  at::Tensor tile_;
};

}  // namespace

StreamedHeads mssa_heads_streamed(const at::Tensor& a, const std::vector<int64_t>& dims, const MssaStreamedOptions& options) {
  const int64_t sum = std::accumulate(dims.begin(), dims.end(), int64_t{0});
  TORCH_CHECK_VALUE(a.dim() == 2 && a.size(1) == sum && a.size(0) > 0, "mssa_heads_streamed: a must be (T, ", sum, "), got ", a.sizes());
  TORCH_CHECK_VALUE(options.scale >= 0, "mssa_heads_streamed: scale must not be negative, got ", options.scale);
  const auto heads = static_cast<int64_t>(dims.size());
  StreamedHeads out{.output = at::empty_like(a), .rows = std::vector<SoftmaxRows>(options.statistics ? dims.size() : 0)};
  at::parallel_for(0, heads, 1, [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;
    int64_t column = std::accumulate(dims.begin(), dims.begin() + begin, int64_t{0});
    for (int64_t k = begin; k < end; ++k) {
      const auto index = static_cast<size_t>(k);
      SoftmaxRows rows;
      out.output.narrow(1, column, dims[index]).copy_(Head(a.narrow(1, column, dims[index]), options).run(rows));
      if (options.statistics) out.rows[index] = std::move(rows);
      column += dims[index];
    }
  });
  return out;
}

}  // namespace aot
