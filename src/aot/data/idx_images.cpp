// SPDX-License-Identifier: Apache-2.0
#include "aot/data/image_source.h"
#include "aot/io/error.h"
#include "aot/io/idx.h"

namespace aot {
namespace {

class IdxImages final : public ImageSource {
 public:
  IdxImages(const std::string& images, const std::string& labels) : images_(images), labels_(labels) {
    const std::vector<int64_t>& shape = images_.shape();
    if (shape.size() != 3 && !(shape.size() == 4 && shape[3] == 3))
      throw FileError(images, "",
                      str("images need 3 dimensions, or 4 with 3 channels last (found ", shape.size(), ")",
                          shape.size() == 1 ? ": are these the labels?" : ""));
    check_image_size({shape[1], shape[2]}, images);
    if (labels_.shape().size() != 1) throw FileError(labels, "", str("labels need 1 dimension (found ", labels_.shape().size(), ")"));
    if (images_.count() != labels_.count()) throw FileError(labels, "", str(images_.count(), " images, ", labels_.count(), " labels"));
  }

  [[nodiscard]] int64_t size() const override { return images_.count(); }
  bool next(LabelledImage& into) override {
    const std::vector<int64_t>& shape = images_.shape();
    into.image.reshape(shape[1], shape[2], shape.size() == 4 ? 3 : 1);
    images_.read_item(into.image.pixels.data());
    uint8_t label = 0;
    labels_.read_item(&label);
    into.label = label;
    return true;
  }

 private:
  IdxFile images_, labels_;
};

}  // namespace

ImageSources open_idx_images(const std::string& images, const std::string& labels) {
  ImageSources sources;
  sources.train = std::make_unique<IdxImages>(images, labels);
  return sources;
}

}  // namespace aot
