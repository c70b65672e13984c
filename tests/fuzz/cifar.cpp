// SPDX-License-Identifier: Apache-2.0
// The first byte chooses CIFAR-10 or CIFAR-100, the rest is the file.
#include "aot/data/image_source.h"
#include "tests/fuzz/file_in_memory.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace aot;
  if (size == 0) return 0;
  const bool hundred = (data[0] & 1) != 0;
  const FileInMemory memory(text_of(data + 1, size - 1));
  accepted([&] {
    const ImageSources sources = open_cifar_images(memory.path(), hundred);
    const int64_t images = sources.train->size();
    require(images * (hundred ? 3074 : 3073) == static_cast<int64_t>(size) - 1, "records fill the file");
    LabelledImage image;
    for (int64_t i = 0; i < images; ++i) {
      sources.train->next(image);
      require(image.label >= 0 && image.label < static_cast<int64_t>(sources.classes.size()), "labels are classes");
      require(image.image.pixels.size() == 3072, "the pixels are all there");
    }
  });
  return 0;
}
