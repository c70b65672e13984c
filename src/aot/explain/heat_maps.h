// SPDX-License-Identifier: Apache-2.0
// Pictures with the attention of each head laid over them, layer by layer, and a page that shows them (docs/explain.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aot/eval/picture_batches.h"
#include "aot/io/image.h"

namespace aot {

/// One layer: a row for each picture, the picture itself first, then each head's map over it, then the mean attention of the heads.
struct HeatMapLayer {
  int64_t layer = 0;  // from 0
  Image sheet;
  /// By head: the share of its attention that falls on the object over the object's share of the picture, mean over pictures; empty where
  /// no masks are known. 1: what looking everywhere alike gives.
  std::vector<double> gain;
};

struct HeatMaps {
  std::string title;  // of the model
  VisionOptions options;
  int64_t images = 0;
  bool masks = false;  // whether the object's edge is drawn
  std::vector<HeatMapLayer> layers;
};

/// Maps of the first `reading.limit` pictures of a split for one layer (from 0), or all for -1.   progress: a line while it works.
///   Nothing when a signal asked for a stop. Throws UsageError for a layer that the model has not and for a mixer without attention
///   weights.
std::optional<HeatMaps> draw_heat_maps(const VisionModel& model, const ImageSplit& split, const PictureReading& reading, int64_t layer,
                                       bool progress = false);

/// `picture` (side, side, 1 or 3) in grey under colours for `map` (side, side) float32 in [0, 1]: from dark violet (0) to yellow (1).
Image overlay(const Image& picture, const at::Tensor& map);

/// The sheets on one self-contained page. `pngs` are theirs, in the same order.
std::string html(const HeatMaps& maps, const std::vector<std::string>& pngs);

}  // namespace aot
