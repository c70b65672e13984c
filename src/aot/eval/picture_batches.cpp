// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/picture_batches.h"

#include <algorithm>
#include <optional>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>

#include "aot/core/log.h"
#include "aot/core/non_finite.h"
#include "aot/core/signals.h"
#include "aot/data/image_loader.h"
#include "aot/io/error.h"

namespace aot {

void check_pictures(const VisionModel& model, const ImageSplit& split, const PictureReading& reading) {
  const VisionOptions& o = model.options();
  if (split.channels() != o.channels)
    throw FileError(split.path(), "", str("pictures of ", split.channels(), " channels, the model reads ", o.channels));
  if (reading.resize > 0 && reading.resize < o.image_size)
    throw UsageError(str("--resize ", reading.resize, " is below the model's pictures of ", o.image_size, " pixels"));
}

int64_t picture_count(const ImageSplit& split, const PictureReading& reading) {
  return reading.limit > 0 ? std::min(reading.limit, split.size()) : split.size();
}

bool for_each_batch(const VisionModel& model, const ImageSplit& split, const PictureReading& reading,
                    const std::function<void(const at::Tensor& images, const at::Tensor& labels)>& visit) {
  check_pictures(model, split, reading);
  const c10::NoGradGuard no_grad;
  const VisionOptions& o = model.options();
  const at::Tensor like = model.parameters().front().value;
  const int64_t count = picture_count(split, reading);
  const bool as_they_are = split.height() == o.image_size && split.width() == o.image_size && reading.resize <= o.image_size;
  ImageLoader loader(split, {.order = ImageOrder::sequential,
                             .batch = std::min(reading.batch, std::max<int64_t>(count, 1)),
                             .workers = reading.workers,
                             .mean = reading.mean,
                             .std = reading.std,
                             .view = {.image_size = as_they_are ? 0 : o.image_size, .resize = reading.resize},
                             .augment = {}});
  for (int64_t done = 0; done < count;) {
    if (stop_signal() != 0) return false;
    const ImageBatch batch = loader.next();
    const int64_t rows = std::min(batch.count, count - done);
    // The loader owns the memory and reuses it: what a visitor keeps must be a copy.
    const at::Tensor images = at::from_blob(const_cast<float*>(batch.pixels), {rows, o.channels, o.image_size, o.image_size}, at::kFloat);
    const at::Tensor labels = at::from_blob(const_cast<int64_t*>(batch.labels), {rows}, at::kLong);
    visit(images.to(like.device(), like.scalar_type()), labels);
    done += rows;
  }
  return true;
}

PictureFeatures picture_features(const VisionModel& model, const ImageSplit& split, const PictureReading& reading,
                                 const std::string& what) {
  const int64_t count = picture_count(split, reading);
  PictureFeatures out = {at::empty({count, model.options().width}, at::kFloat), at::empty({count}, at::kLong)};
  std::optional<Progress> line;
  if (!what.empty()) line.emplace(what, static_cast<double>(count), "pictures");
  int64_t done = 0;
  const bool whole = for_each_batch(model, split, reading, [&](const at::Tensor& images, const at::Tensor& labels) {
    const at::Tensor features = model.features(images).to(at::kCPU, at::kFloat);  // (B, D)
    if (!features.isfinite().all().item<bool>()) throw NonFiniteError(str("features of pictures ", done, " and on"));
    out.features.narrow(0, done, images.size(0)).copy_(features);
    out.labels.narrow(0, done, images.size(0)).copy_(labels);
    done += images.size(0);
    if (line) line->update(static_cast<double>(done));
  });
  return whole ? out : PictureFeatures();
}

}  // namespace aot
