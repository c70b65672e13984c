// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/pictures.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/arange.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/TensorOperators.h>

#include "aot/core/log.h"
#include "aot/core/non_finite.h"
#include "aot/io/error.h"

namespace aot {

void PictureCount::add(const at::Tensor& scores, const at::Tensor& labels, const at::Tensor& losses) {
  if (!scores.isfinite().all().item<bool>()) throw NonFiniteError(str("scores of pictures ", count_, " and on"));
  const at::Tensor label = labels.unsqueeze(1), own = scores.gather(1, label);  // (B, 1)
  const at::Tensor before = at::arange(scores.size(1), at::kLong).unsqueeze(0).lt(label);
  const at::Tensor rank = scores.gt(own).logical_or(scores.eq(own).logical_and(before)).sum(1);  // (B,)
  classes_ = scores.size(1);
  count_ += scores.size(0);
  first_ += rank.eq(0).sum().item<int64_t>();
  among_five_ += rank.lt(5).sum().item<int64_t>();
  if (!losses.defined()) return;
  has_losses_ = true;
  loss_ += losses.sum(at::kDouble).item<double>();
}

PictureScore PictureCount::score() const {
  const auto n = static_cast<double>(count_);
  PictureScore out{.top1 = static_cast<double>(first_) / n, .count = count_};
  if (has_losses_) out.loss = loss_ / n;
  if (classes_ > 5) out.top5 = static_cast<double>(among_five_) / n;
  if (count_ > 1) out.standard_error = std::sqrt(out.top1 * (1 - out.top1) / (n - 1));
  return out;
}

std::optional<PictureScore> score_pictures(const VisionModel& model, const ImageSplit& split, const PictureReading& reading,
                                           bool progress) {
  const int64_t count = picture_count(split, reading), classes = model.options().classes;
  for (int64_t i = 0; i < count; ++i)
    if (split.label(i) >= classes)
      throw FileError(split.path(), str("record ", i), str("label ", split.label(i), ", the model knows ", classes, " classes"));
  std::optional<Progress> line;
  if (progress) line.emplace("evaluating", static_cast<double>(count), "pictures");
  PictureCount counted;
  const bool whole = for_each_batch(model, split, reading, [&](const at::Tensor& images, const at::Tensor& labels) {
    const at::Tensor logits = model.logits(images).to(at::kCPU, at::kDouble);  // (B, classes)
    counted.add(logits, labels, at::cross_entropy_loss(logits, labels, {}, at::Reduction::None));
    if (line) line->update(static_cast<double>(counted.count()));
  });
  if (!whole) return std::nullopt;
  return counted.score();
}

}  // namespace aot
