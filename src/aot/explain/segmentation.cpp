// SPDX-License-Identifier: Apache-2.0
#include "aot/explain/segmentation.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/normal.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/stack.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include "aot/core/log.h"
#include "aot/core/random.h"
#include "aot/data/view.h"
#include "aot/explain/attention_maps.h"
#include "aot/io/error.h"

namespace aot {
namespace {

constexpr int64_t kThresholds = 19;

/// Fits of one kind of maps for all pictures.
class Fits {
 public:
  void add(const std::vector<at::Tensor>& maps, const at::Tensor& masks, const at::Tensor& thresholds) {
    std::vector<at::Tensor> iou, accuracy;
    for (const at::Tensor& layer : maps) {
      const MaskFits fits = mask_fits(shown_maps(layer, masks.size(1)), masks, thresholds);
      iou.push_back(fits.iou);
      accuracy.push_back(fits.accuracy);
    }
    iou_.push_back(at::stack(iou, 1));  // (B, L, K, thresholds)
    accuracy_.push_back(at::stack(accuracy, 1));
  }
  [[nodiscard]] MaskFits all() const { return {at::cat(iou_, 0), at::cat(accuracy_, 0)}; }

 private:
  std::vector<at::Tensor> iou_, accuracy_;
};

/// Mean and standard error over pictures, values (N,).
std::pair<double, std::optional<double>> mean_of(const at::Tensor& values) {
  const at::Tensor v = values.to(at::kDouble);
  const auto n = static_cast<double>(v.size(0));
  const double mean = v.mean().item<double>();
  if (v.size(0) < 2) return {mean, std::nullopt};
  return {mean, std::sqrt((v - mean).square().sum().item<double>() / (n - 1) / n)};
}

MaskScore measured(const at::Tensor& iou, const at::Tensor& accuracy) {
  MaskScore out;
  std::tie(out.iou, out.iou_error) = mean_of(iou);
  std::tie(out.accuracy, out.accuracy_error) = mean_of(accuracy);
  return out;
}

/// Chooses on the first `half` pictures and measures on the others. Fits (N, L, K, thresholds).
MaskScore chosen(const MaskFits& fits, int64_t half, const at::Tensor& thresholds) {
  const int64_t heads = fits.iou.size(2), rest = fits.iou.size(0) - half;
  const int64_t best = fits.iou.narrow(0, 0, half).mean(0, false, at::kDouble).argmax().item<int64_t>();
  const auto at_best = [&](const at::Tensor& values) { return values.narrow(0, half, rest).flatten(1).select(1, best); };
  MaskScore out = measured(at_best(fits.iou), at_best(fits.accuracy));
  out.layer = best / (heads * kThresholds);
  out.head = best / kThresholds % heads;
  out.threshold = thresholds[best % kThresholds].item<double>();
  return out;
}

/// Each layer's heads in an order of their own for each picture.
MaskFits in_random_order(const MaskFits& fits, uint64_t seed) {
  const std::vector<int64_t> shape = fits.iou.sizes().vec();
  const at::Tensor keys = at::rand({shape[0], shape[1], shape[2], 1}, make_generator(seed), at::TensorOptions(at::kFloat));
  const at::Tensor order = keys.argsort(int64_t{2}).expand(shape);
  return {fits.iou.gather(2, order), fits.accuracy.gather(2, order)};
}

}  // namespace

MaskFits mask_fits(const at::Tensor& maps, const at::Tensor& masks, const at::Tensor& thresholds) {
  const at::Tensor flat = maps.flatten(2), mask = masks.to(maps.scalar_type()).flatten(1).unsqueeze(2);  // (B, K, S^2), (B, S^2, 1)
  const at::Tensor object = mask.sum(1);                                                                 // (B, 1)
  const auto pixels = static_cast<double>(flat.size(2));
  std::vector<at::Tensor> iou, accuracy;
  for (int64_t t = 0; t < thresholds.size(0); ++t) {
    const at::Tensor called = flat.ge(thresholds[t]).to(maps.scalar_type());
    const at::Tensor both = at::matmul(called, mask).squeeze(2), area = called.sum(2);  // (B, K)
    iou.push_back(both / (area + object - both).clamp_min(1));
    accuracy.push_back((pixels - area - object + 2 * both) / pixels);
  }
  return {at::stack(iou, 2), at::stack(accuracy, 2)};
}

VisionModel with_random_projections(const VisionModel& model, uint64_t seed) {
  const c10::NoGradGuard no_grad;
  VisionModel out(model.options(), 0);
  const Parameters from = model.parameters(), to = out.parameters();
  out.to(from.front().value.device(), from.front().value.scalar_type());
  at::Generator generator = make_generator(derive_seed(seed, "random projections"));
  for (size_t i = 0; i < from.size(); ++i) {
    const std::string& name = from[i].name;
    at::Tensor value = from[i].value.detach();
    if (name.ends_with("mixer.u") || name.ends_with("mixer.w_qkv")) {
      const at::Tensor drawn = at::normal(0, 1, value.sizes(), generator, at::TensorOptions(at::kDouble));
      value = drawn * (value.to(at::kCPU, at::kDouble).norm() / drawn.norm());
    }
    at::Tensor(to[i].value).copy_(value);
  }
  return out;
}

std::optional<SegmentationScore> score_segmentation(const VisionModel& model, const ImageSplit& split, const PictureReading& reading,
                                                    uint64_t seed, bool progress) {
  check_attention(model);
  const int64_t count = picture_count(split, reading), size = model.options().image_size, half = count / 2;
  if (!split.has_masks())
    throw FileError(split.path(), "", "no masks: it is not known which pixels are the object", "e.g. aot data make shapes");
  if (count < 2) throw FileError(split.path(), "", "need at least 2 pictures: one half to choose on, one to measure");

  const VisionModel random = with_random_projections(model, seed);
  const at::Tensor thresholds = at::arange(1, kThresholds + 1, at::kFloat) / (kThresholds + 1);
  Fits trained_fits, random_fits;
  std::vector<at::Tensor> objects;  // share of the picture
  std::vector<uint8_t> mask, scratch;
  int64_t done = 0;
  std::optional<Progress> line;
  if (progress) line.emplace("comparing maps with masks", static_cast<double>(count), "pictures");
  const bool whole = for_each_batch(model, split, reading, [&](const at::Tensor& images, const at::Tensor&) {
    const at::Tensor masks = at::empty({images.size(0), size, size}, at::kFloat);
    for (int64_t i = 0; i < images.size(0); ++i) {
      read_middle_mask(split, done + i, std::max(reading.resize, size), size, mask, scratch);
      masks[i].copy_(at::from_blob(mask.data(), {size, size}, at::kByte));
    }
    trained_fits.add(attention_maps(model, images), masks, thresholds);
    random_fits.add(attention_maps(random, images, &model), masks, thresholds);
    objects.push_back(masks.mean({1, 2}));
    done += images.size(0);
    if (line) line->update(static_cast<double>(done));
  });
  if (!whole) return std::nullopt;

  const MaskFits fits = trained_fits.all();
  const at::Tensor shares = at::cat(objects, 0).narrow(0, half, count - half);
  return SegmentationScore{.chosen_on = half,
                           .count = count - half,
                           .best = chosen(fits, half, thresholds),
                           .permuted_heads = chosen(in_random_order(fits, derive_seed(seed, "order of heads")), half, thresholds),
                           .random_projections = chosen(random_fits.all(), half, thresholds),
                           .whole_picture = measured(shares, shares)};
}

}  // namespace aot
