// SPDX-License-Identifier: Apache-2.0
#include "aot/io/idx.h"

#include <vector>

#include "tests/fuzz/file_in_memory.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace aot;
  constexpr int64_t kMostBytes = 1 << 20;
  const FileInMemory memory(text_of(data, size));
  accepted([&] {
    IdxFile file(memory.path());
    int64_t items = 1;
    for (const int64_t length : file.shape()) {
      require(length > 0, "no dimension is empty");
      items *= length;
    }
    require(items == file.count() * file.item_bytes(), "the shape tells the bytes");
    if (items > kMostBytes) return;  // a gzip file may hold as many, which takes time
    std::vector<uint8_t> item(static_cast<size_t>(file.item_bytes()));
    for (int64_t i = 0; i < file.count(); ++i) file.read_item(item.data());
  });
  return 0;
}
