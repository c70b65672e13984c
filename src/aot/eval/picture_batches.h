// SPDX-License-Identifier: Apache-2.0
// The pictures of a split as an evaluation shows them to a model: each once, in order, without augmentation.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/data/image_dataset.h"
#include "aot/models/vision.h"

namespace aot {

struct PictureReading {
  std::vector<double> mean, std;  // per channel: a value is (pixel / 255 - mean) / std
  int64_t resize = 0;             // the shorter side before the middle is cut out; 0: the model's picture size
  int64_t batch = 64;
  int64_t limit = 0;    // the first so many pictures of the split; 0: all
  int64_t workers = 1;  // threads that prepare pictures
};

/// Throws FileError unless the pictures of `split` have the model's channels, UsageError when `resize` is below its picture size.
void check_pictures(const VisionModel& model, const ImageSplit& split, const PictureReading& reading);

/// How many pictures `for_each_batch` gives.
int64_t picture_count(const ImageSplit& split, const PictureReading& reading);

/// Calls visit(images (B, C, S, S) on the model's device and in its dtype, labels (B,) int64 on the CPU) for batch after batch. A picture
/// that is not of the model's size is resized and its middle cut out (docs/images.md). False when a signal asked for a stop meanwhile.
///   Throws as `check_pictures` does, and what reading a picture meets.
bool for_each_batch(const VisionModel& model, const ImageSplit& split, const PictureReading& reading,
                    const std::function<void(const at::Tensor& images, const at::Tensor& labels)>& visit);

/// What the head of a model reads of each picture, and its label.
struct PictureFeatures {
  at::Tensor features;  // (N, D) float32 on the CPU
  at::Tensor labels;    // (N,) int64
};

/// VisionModel::features of the pictures of a split. `what` names the work on a progress line; empty: none. Undefined tensors when a signal
/// asked for a stop.
PictureFeatures picture_features(const VisionModel& model, const ImageSplit& split, const PictureReading& reading,
                                 const std::string& what = "");

}  // namespace aot
