// SPDX-License-Identifier: Apache-2.0
// The first byte chooses the width and the vocabulary, the rest is the .bin.
#include <vector>

#include "aot/data/token_dataset.h"
#include "tests/fuzz/file_in_memory.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace aot;
  if (size == 0) return 0;
  const int bytes_per_token = (data[0] & 1) != 0 ? 4 : 2;
  const int64_t vocab_size = int64_t{1} << (data[0] >> 1 & 31);
  const FileInMemory memory(text_of(data + 1, size - 1));
  accepted([&] {
    const TokenFile file(memory.path(), bytes_per_token, vocab_size);
    std::vector<int64_t> tokens(static_cast<size_t>(file.tokens()));
    const bool readable = accepted([&] { file.read(0, file.tokens(), tokens.data()); });
    for (const int64_t token : tokens) require(!readable || (token >= 0 && token < vocab_size), "tokens are in the vocabulary");
    require(readable || !accepted([&] { file.check_all(); }), "what cannot be read is not found good");
    int64_t token = 0;
    require(!accepted([&] { file.read(file.tokens(), 1, &token); }), "nothing is behind the end");
  });
  return 0;
}
