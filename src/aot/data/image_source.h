// SPDX-License-Identifier: Apache-2.0
// Labelled images as they come from outside, in order: what `prepare_images` packs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "aot/io/image_file.h"

namespace aot {

struct LabelledImage {
  Image image;       // what is packed, or with a file what it looks like, perhaps smaller
  std::string file;  // the image as a JPEG or PNG file, packed instead of pixels; empty: none
  ImageSize size;    // of the image in that file
  int64_t label = 0;
  std::vector<uint8_t> mask;  // (height, width): 1 where the object is, 0 elsewhere; empty when it is not known
};

/// Images, one behind the other: all of one size, or all as files.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  [[nodiscard]] virtual int64_t size() const = 0;
  /// The next image; false when it is bad and left out. REQUIRES: called at most size() times. Throws FileError.
  virtual bool next(LabelledImage& into) = 0;
  /// Why images were left out so far, with their paths.
  [[nodiscard]] virtual const std::vector<std::string>& skipped() const {
    static const std::vector<std::string> kNone;
    return kNone;
  }
};

/// What one set of files holds.
struct ImageSources {
  std::unique_ptr<ImageSource> train;
  std::unique_ptr<ImageSource> val;  // null: the files know no validation part
  std::vector<std::string> classes;  // empty: told by the labels, "0" up to the largest one
};

/// IDX: `images` with three dimensions (or four, the last being 3 channels) and `labels` with one.
/// Throws FileError: `labels need 1 dimension`, `60000 images, 10000 labels`, and as IdxFile does.
ImageSources open_idx_images(const std::string& images, const std::string& labels);

/// CIFAR in its binary version: 32 x 32 pixels in three planes behind one byte of label (CIFAR-10) or two, of which the second counts
/// (CIFAR-100). `path` is one file, or the folder with the usual names, whose test file is then the validation part; the names of the
/// classes are read from beside it if they are there.
/// Throws FileError: `record 5: label 10`, `use the binary version`, `3074-byte records: CIFAR-100?`.
ImageSources open_cifar_images(const std::string& path, bool hundred);

struct FolderOptions {
  int64_t size = 0;       // packs pixels: the shorter side resized to this, the middle cut out; 0: packs the files as they are
  bool skip_bad = false;  // leaves bad images out instead of stopping at the first
  int64_t threads = 1;    // that decode
};

/// A folder with one folder of JPEG and PNG files per class, or with `train` and `val` that are such. Classes in order of name, files in an
/// order drawn at random, always the same. Names that start with '.' are not looked at; every other file must be an image.
ImageSources open_image_folder(const std::string& path, const FolderOptions& options);

}  // namespace aot
