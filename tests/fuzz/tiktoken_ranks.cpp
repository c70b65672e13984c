// SPDX-License-Identifier: Apache-2.0
// The input is a rank file. When it starts with 'S', its lines follow those of the 256 bytes, whose ranks are 0 to 255.
#include "aot/io/tiktoken_ranks.h"

#include "tests/fuzz/bpe.h"

namespace {

std::string lines_of_bytes() {
  const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (uint32_t byte = 0; byte < 256; ++byte)
    text += std::string{kDigits[byte >> 2], kDigits[(byte & 3) << 4], '=', '=', ' '} + std::to_string(byte) + "\n";
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace aot;
  std::string text(text_of(data, size));
  if (!text.empty() && text[0] == 'S') text = lines_of_bytes() + text.substr(1);
  const auto split = static_cast<SplitKind>(size % 4);
  TokenizerFile file;
  if (accepted([&] { file = parse_tiktoken_ranks(text, "ranks.tiktoken", split); })) check_vocabulary(file);
  return 0;
}
