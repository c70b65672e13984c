// SPDX-License-Identifier: Apache-2.0
// The prepared pictures and the vision models that a command reads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "aot/eval/picture_batches.h"
#include "apps/command.h"

namespace aot {

struct PictureFlags {
  std::vector<std::string> models;  // at least one
  std::string data, split = "val";
  int64_t resize = 0, batch = 64, images = 0;
};

/// --model (may be given again), --data, --resize, --batch; then what is asked for.
struct PictureChoice {
  bool split = false, images = false, several_models = false;
  int64_t most_images = 0;  // where pictures are shown: no more than so many, and not all; 0: any number
};
void describe(CLI::App& app, Fields& fields, PictureFlags& flags, const PictureChoice& choice);

/// What --data names, opened, and how it is to be read.
struct PictureInput {
  ImageDataset data;
  PictureReading reading;

  /// Throws FileError when the folder has no such split.
  [[nodiscard]] const ImageSplit& split(const std::string& name) const;
};

/// Throws UsageError naming `command` when --model or --data is missing, FileError for a folder that holds no pictures.
PictureInput open_pictures(const PictureFlags& flags, const std::string& command);

/// A vision model on its device, and its checkpoint.
struct LoadedVision {
  std::string checkpoint;
  std::unique_ptr<VisionModel> model;
};
LoadedVision load_vision(const std::string& path, const GeneralOptions& general);

}  // namespace aot
