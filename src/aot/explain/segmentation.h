// SPDX-License-Identifier: Apache-2.0
// How well the best head of a vision model marks the object of a picture, where it is known which pixels are the object (docs/explain.md).
#pragma once

#include <cstdint>
#include <optional>

#include "aot/eval/picture_batches.h"

namespace aot {

/// A mask of the object from one map and one threshold, and how it fits on pictures that had no part in choosing them.
struct MaskScore {
  int64_t layer = 0, head = 0;   // from 0
  double threshold = 0;          // pixels whose map is at least this are called object
  double iou = 0, accuracy = 0;  // means over pictures: |A and B| / |A or B| with the known mask; share of pixels called rightly
  std::optional<double> iou_error, accuracy_error;  // standard errors of these means; absent for a single picture
};

struct SegmentationScore {
  int64_t chosen_on = 0, count = 0;  // pictures on which the head and threshold were chosen, and on which they were measured
  MaskScore best;
  MaskScore permuted_heads;      // the heads of each layer in another random order for each picture: a head that is best only now and then
  MaskScore random_projections;  // the same tokens seen through random subspaces (queries, keys) of the trained ones' size
  MaskScore whole_picture;       // everything called object
};

/// Maps as `shown_maps` gives them, at the size that the model sees. Layer, head and threshold (.05, .10, ..., .95) are those with the
/// largest mean IoU on the first half of the pictures; the second half is measured. Each control chooses in the same way.
///   `seed` decides the orders of heads and the random projections. progress: a line while it works.
///   Nothing when a signal asked for a stop. Throws UsageError for a mixer without attention weights, FileError for a split without masks
///   or of a single picture.
std::optional<SegmentationScore> score_segmentation(const VisionModel& model, const ImageSplit& split, const PictureReading& reading,
                                                    uint64_t seed, bool progress = false);

/// IoU and share of right pixels of every map at every threshold. maps (B, K, S, S) in [0, 1], masks (B, S, S) of 0 and 1; returns both
/// as (B, K, thresholds). Where neither a mask nor a map has a pixel, IoU is 0.
struct MaskFits {
  at::Tensor iou, accuracy;
};
MaskFits mask_fits(const at::Tensor& maps, const at::Tensor& masks, const at::Tensor& thresholds);

/// A model of the same weights but for its subspaces (mssa) or queries, keys and values (mhsa), drawn N(0, 1) and scaled to the Frobenius
/// norm of those they replace.
VisionModel with_random_projections(const VisionModel& model, uint64_t seed);

}  // namespace aot
