// SPDX-License-Identifier: Apache-2.0
// How often a vision model names a picture rightly (docs/eval.md).
#pragma once

#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>

#include "aot/eval/picture_batches.h"

namespace aot {

struct PictureScore {
  std::optional<double> loss;            // mean cross-entropy in nats a picture, where the scores are logits
  double top1 = 0;                       // share of pictures whose label has the largest score
  std::optional<double> top5;            // or one of the five largest; absent for five classes or fewer, where nothing could be wrong
  std::optional<double> standard_error;  // of top1; absent for a single picture
  int64_t count = 0;
};

/// Counts over batches. Of equal scores the class named first is ahead, so a model that says nothing is right about one class only.
class PictureCount {
 public:
  /// scores (B, classes), larger is better;  labels (B,) int64;  losses (B,) or undefined. Throws Error `non-finite`.
  void add(const at::Tensor& scores, const at::Tensor& labels, const at::Tensor& losses = {});
  [[nodiscard]] int64_t count() const { return count_; }
  /// REQUIRES: count() > 0. The standard error is sqrt(p (1 - p) / (N - 1)).
  [[nodiscard]] PictureScore score() const;

 private:
  int64_t count_ = 0, classes_ = 0, first_ = 0, among_five_ = 0;
  double loss_ = 0;
  bool has_losses_ = false;
};

/// Scores a model on the first `reading.limit` pictures of a split, or all.   progress: a line while it works.
///   Nothing when a signal that is caught (core/signals.h) asked for a stop.
///   Throws as `for_each_batch` does, FileError when a label is no class of the model, Error `non-finite` for such logits.
std::optional<PictureScore> score_pictures(const VisionModel& model, const ImageSplit& split, const PictureReading& reading,
                                           bool progress = false);

}  // namespace aot
