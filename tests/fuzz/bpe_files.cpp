// SPDX-License-Identifier: Apache-2.0
// The input is a vocabulary, a NUL and merges. When it starts with 'S', lines of tokens take the place of the vocabulary and follow the 256
// bytes.
#include "tests/fuzz/bpe.h"

#include "aot/io/json.h"

namespace {

using namespace aot;

std::string vocabulary_with(std::string_view lines) {
  std::string text = "{";
  int id = 0;
  const auto add = [&](const std::string& token) { text += (id == 0 ? "" : ",") + dump_json(Json(token)) + ":" + std::to_string(id++); };
  for (int byte = 0; byte < 256; ++byte) add(to_byte_alphabet(std::string(1, static_cast<char>(byte))));
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    add(std::string(lines.substr(0, end)));
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return text + "}";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input = text_of(data, size);
  const size_t cut = std::min(input.find('\0'), input.size());
  const std::string_view merges = input.substr(std::min(cut + 1, input.size()));
  std::string vocabulary(input.substr(0, cut));
  if (!vocabulary.empty() && vocabulary[0] == 'S') vocabulary = vocabulary_with(std::string_view(vocabulary).substr(1));
  TokenizerFile file;
  if (accepted([&] { file.vocabulary = parse_bpe_files(vocabulary, "encoder.json", merges, "vocab.bpe"); })) check_vocabulary(file);
  return 0;
}
