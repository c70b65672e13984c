// SPDX-License-Identifier: Apache-2.0
#include "aot/io/bpe_files.h"

#include <sys/stat.h>

#include <array>

#include "aot/io/bpe_builder.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

constexpr uint64_t kMaxBytes = 64u << 20;

/// GPT-2 writes a byte that prints as itself as that character, and the others, in order, as U+0100, U+0101, ...
struct ByteAlphabet {
  ByteAlphabet() {
    uint32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const bool prints = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
      code_of[byte] = prints ? byte : next++;
      byte_of[code_of[byte]] = static_cast<int16_t>(byte);
    }
  }
  std::array<uint32_t, 256> code_of = {};
  std::array<int16_t, 0x144> byte_of = filled();

  static std::array<int16_t, 0x144> filled() {
    std::array<int16_t, 0x144> none = {};
    none.fill(-1);
    return none;
  }
};

const ByteAlphabet& alphabet() {
  static const ByteAlphabet instance;
  return instance;
}

bool exists(const std::string& path) {
  struct stat status = {};
  return lstat(path.c_str(), &status) == 0;
}

}  // namespace

std::string to_byte_alphabet(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) append_utf8(text, alphabet().code_of[static_cast<uint8_t>(byte)]);
  return text;
}

bool from_byte_alphabet(std::string_view text, std::string& bytes) {
  bytes.clear();
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    if (!c.valid || c.code >= alphabet().byte_of.size() || alphabet().byte_of[c.code] < 0) return false;
    bytes += static_cast<char>(alphabet().byte_of[c.code]);
    at += c.bytes;
  }
  return true;
}

BpeFiles parse_bpe_files(std::string_view vocabulary, const std::string& vocabulary_path, std::string_view merges,
                         const std::string& merges_path) {
  JsonReader json(vocabulary, vocabulary_path, 4);
  BpeBuilder builder(vocabulary_path);
  builder.read_vocabulary(json);
  json.finish();
  builder.place();

  if (const auto kind = looks_like(merges); !kind.empty())
    throw FileError(merges_path, "", str("looks like ", kind, ", need lines of merges"));
  if (const size_t bad = find_invalid_utf8(merges); bad != std::string_view::npos)
    throw FileError(merges_path, "", str("not valid UTF-8 at byte ", bad));
  for (size_t at = 0; at < merges.size();) {
    const size_t end = std::min(merges.find('\n', at), merges.size());
    std::string_view line = merges.substr(at, end - at);
    const bool is_version = at == 0 && line.substr(0, 8) == "#version";
    at = end + 1;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (is_version || (line.empty() && at >= merges.size())) continue;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
      builder.fail_merge(merges_path, str("need two parts with one space between them (found '", escaped(line, 60), "')"));
    builder.add_merge(line.substr(0, space), line.substr(space + 1), merges_path);
  }
  return builder.finish_bytes(BpeBuilder::Unmade::special_in_brackets, merges_path);
}

BpeFiles read_bpe_files(const std::string& folder) {
  const std::pair<const char*, const char*> kNames[] = {{"/encoder.json", "/vocab.bpe"}, {"/vocab.json", "/merges.txt"}};
  for (const auto& [vocabulary, merges] : kNames) {
    const std::string vocabulary_path = folder + vocabulary, merges_path = folder + merges;
    if (!exists(vocabulary_path) && !exists(merges_path)) continue;
    const std::string vocabulary_text = read_file(vocabulary_path, kMaxBytes);
    return parse_bpe_files(vocabulary_text, vocabulary_path, read_file(merges_path, kMaxBytes), merges_path);
  }
  throw FileError(folder, "", "no such file: need encoder.json and vocab.bpe, or vocab.json and merges.txt");
}

}  // namespace aot
