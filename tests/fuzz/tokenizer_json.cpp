// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/bpe.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  aot::TokenizerFile file;
  if (aot::accepted([&] { file = aot::parse_tokenizer_json(aot::text_of(data, size), "tokenizer.json"); })) aot::check_vocabulary(file);
  return 0;
}
