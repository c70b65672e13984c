// SPDX-License-Identifier: Apache-2.0
// meta.json of prepared images.
#include "aot/data/image_meta.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace aot;
  ImageMeta meta;
  if (!accepted([&] { meta = parse_image_meta(text_of(data, size), "meta.json"); })) return 0;
  require((meta.height > 0) == (meta.width > 0) && (meta.height > 0) == meta.train.sizes_sha256.empty(), "images have one size or files");
  require(meta.train.images > 0 && (!meta.val || meta.val->images > 0), "counts are in range");
  require(!meta.classes.empty() && static_cast<int64_t>(meta.mean.size()) == meta.channels, "lists have their lengths");
  const std::string text = image_meta_text(meta);
  require(image_meta_text(parse_image_meta(text, "meta.json")) == text, "reading undoes writing");
  return 0;
}
