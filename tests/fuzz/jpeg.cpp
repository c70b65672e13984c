// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/image_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  aot::try_image(data, size, aot::read_jpeg_size, aot::decode_jpeg);
  return 0;
}
