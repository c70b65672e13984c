// SPDX-License-Identifier: Apache-2.0
// Starting a vision model from the weights of another one: other classes, other picture size (docs/vision.md).
#pragma once

#include <string>
#include <vector>

#include "aot/models/vision.h"

namespace aot {

/// What became of each parameter of the model that was started, by name.
struct TransferredWeights {
  std::vector<std::string> taken, interpolated, fresh;

  /// One line for people.
  [[nodiscard]] std::string text() const;
};

/// Copies the weights of a checkpoint into a model of the same settings, apart from these:
///   classes       the head keeps what the model drew for it, unless their number is the same
///   image_size    learnt positions of patches are interpolated over the grid (`resized_grid`); sincos and rotary tables follow the size
///   dropout, step_init
/// Throws UsageError naming the first other setting that differs, FileError as `load_vision_model` does. Nothing is changed unless all
/// fits.
TransferredWeights load_for_finetuning(const std::string& checkpoint, const VisionModel& model);

/// A map on a grid (..., h, w) at another size (..., height, width) by cubic convolution with a = -1/2 between the centres of cells,
/// antialiased where it shrinks: as data/resize.h does it for pictures. A size that stays gives the same numbers.   [Keys 1981]
at::Tensor resized_grid(const at::Tensor& grid, int64_t height, int64_t width);

}  // namespace aot
