// SPDX-License-Identifier: Apache-2.0
// The input is a file, or, when it starts with '{', a header to which a right length is put and data are added, so that the inner checks
// are met.
#include "aot/io/safetensors.h"

#include <sys/mman.h>
#include <unistd.h>

#include <vector>

#include "tests/fuzz/target.h"

namespace {

using namespace aot;

/// The path of a file in memory with that content.
std::string path_of(std::string_view content) {
  static const int descriptor = memfd_create("fuzz", MFD_CLOEXEC);
  require(ftruncate(descriptor, 0) == 0 && pwrite(descriptor, content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()),
          "a file in memory can be written");
  return "/proc/self/fd/" + std::to_string(descriptor);
}

std::string with_length(std::string_view header) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(header.size() >> (8 * i));
  return file + std::string(header) + std::string(64, 'd');
}

void check(std::string_view content) {
  const std::string path = path_of(content);
  accepted([&] {
    const SafetensorsFile file(path);
    uint64_t total = 0;
    std::vector<char> data;
    for (const TensorEntry& tensor : file.tensors()) {
      require(tensor.offset <= content.size() && tensor.bytes <= content.size() - tensor.offset, "tensors lie inside the file");
      require(file.find(tensor.name)->offset == tensor.offset, "names are unique");
      total += tensor.bytes;
      data.resize(tensor.bytes);
      file.read(tensor, data.data());
    }
    require(total <= content.size(), "tensors do not overlap");
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view content = text_of(data, size);
  check(content);
  if (!content.empty() && content[0] == '{') check(with_length(content));
  return 0;
}
