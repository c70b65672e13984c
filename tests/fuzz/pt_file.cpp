// SPDX-License-Identifier: Apache-2.0
#include "aot/io/pt_file.h"

#include <vector>

#include "aot/io/safetensors.h"
#include "tests/fuzz/file_in_memory.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace aot;
  const FileInMemory memory(text_of(data, size));
  accepted([&] {
    const ZipFile zip(memory.path());
    uint64_t total = 0;
    for (const ZipEntry& entry : zip.entries()) {
      require(entry.offset <= size && entry.bytes <= size - entry.offset, "entries lie inside the file");
      total += entry.bytes;
    }
    require(total <= size, "entries do not overlap");
    const PtFile file(memory.path());
    const PickleValue root = file.root();
    for (size_t i = 0; i < root.pairs(); ++i) {
      const PickleTensor* tensor = root.value(i).tensor();
      if (tensor == nullptr || !tensor->contiguous()) continue;
      std::vector<char> numbers(static_cast<size_t>(tensor->count()) * safetensors_dtype_bytes(file.dtype(*tensor)));
      file.read(*tensor, 0, numbers.data(), numbers.size());
    }
  });
  return 0;
}
