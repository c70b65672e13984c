// SPDX-License-Identifier: Apache-2.0
#include "aot/data/tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "aot/data/text_place.h"
#include "aot/data/vocabulary.h"
#include "aot/io/error.h"
#include "aot/io/tiktoken_ranks.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

/// Id = byte.
class ByteTokenizer : public VocabularyTokenizer {
 public:
  using Tokenizer::encode;
  using VocabularyTokenizer::VocabularyTokenizer;

  void encode(std::string_view text, std::vector<int32_t>& ids) const override {
    ids.reserve(ids.size() + text.size());
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  }
};

/// Id = rank of the character in the vocabulary.
class CharTokenizer : public VocabularyTokenizer {
 public:
  explicit CharTokenizer(TokenizerFile file) : VocabularyTokenizer(std::move(file)), ascii_(128, -1) {
    for (int32_t id = 0; id < vocab_size(); ++id) {
      if (is_special(id)) continue;
      const uint32_t code = decode_utf8(vocabulary().tokens[static_cast<size_t>(id)], 0).code;
      if (code < 128)
        ascii_[code] = id;
      else
        others_[code] = id;
    }
  }
  using Tokenizer::encode;
  [[nodiscard]] size_t safe_cut(std::string_view text) const override { return complete_utf8_prefix(text); }

  void encode(std::string_view text, std::vector<int32_t>& ids) const override {
    ids.reserve(ids.size() + text.size());
    for (size_t at = 0; at < text.size();) {
      const auto byte = static_cast<unsigned char>(text[at]);
      if (byte < 128 && ascii_[byte] >= 0) {
        ids.push_back(ascii_[byte]);
        ++at;
        continue;
      }
      const Utf8Char c = decode_utf8(text, at);
      const auto found = c.valid ? others_.find(c.code) : others_.end();
      if (found == others_.end()) refuse(text, at, c);
      ids.push_back(found->second);
      at += c.bytes;
    }
  }

 private:
  [[noreturn]] static void refuse(std::string_view text, size_t at, const Utf8Char& c) {
    TextPlace place;
    place.pass(text.substr(0, at));
    if (c.valid) throw Error(ExitCode::bad_file, place.column_text() + ": " + unknown_character_text(c.code));
    throw Error(ExitCode::bad_file, place.byte_text() + ": " + invalid_utf8_text(text));
  }

  std::vector<int32_t> ascii_;  // by code; -1: not in the vocabulary
  std::unordered_map<uint32_t, int32_t> others_;
};

/// Remembers nothing.
class PlainEncoder : public Encoder {
 public:
  explicit PlainEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  void encode(std::string_view text, std::vector<int32_t>& ids) override { tokenizer_.encode(text, ids); }

 private:
  const Tokenizer& tokenizer_;
};

}  // namespace

std::unique_ptr<Encoder> Tokenizer::encoder() const {
  return std::make_unique<PlainEncoder>(*this);
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  encode(text, ids);
  return ids;
}

std::optional<int32_t> Tokenizer::separator() const {
  if (end_of_text() >= 0) return end_of_text();
  try {
    const std::vector<int32_t> newline = encode("\n");
    return newline.size() == 1 ? std::optional(newline[0]) : std::nullopt;
  } catch (const Error&) {  // no such character in its vocabulary
    return std::nullopt;
  }
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids) const {
  std::string text;
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size()) throw Error(ExitCode::bad_file, str("id ", id, " is not in the vocabulary of ", vocab_size()));
    text += bytes_of(id);
  }
  return text;
}

VocabularyTokenizer::VocabularyTokenizer(TokenizerFile file) : file_(std::move(file)) {
  for (const int32_t id : file_.vocabulary.special)
    if (file_.vocabulary.tokens[static_cast<size_t>(id)] == "<|endoftext|>") end_of_text_ = id;
}

std::string VocabularyTokenizer::kind() const {
  switch (file_.kind) {
    case TokenizerKind::byte:
      return "byte";
    case TokenizerKind::chars:
      return "char";
    case TokenizerKind::bpe:
      break;
  }
  return "bpe";
}

std::string_view VocabularyTokenizer::bytes_of(int32_t id) const {
  return is_special(id) ? std::string_view() : file_.vocabulary.tokens.at(static_cast<size_t>(id));
}

bool VocabularyTokenizer::is_special(int32_t id) const {
  return std::binary_search(file_.vocabulary.special.begin(), file_.vocabulary.special.end(), id);
}

TokenizerPtr make_tokenizer(TokenizerFile file) {
  switch (file.kind) {
    case TokenizerKind::byte:
      return std::make_shared<ByteTokenizer>(std::move(file));
    case TokenizerKind::chars:
      return std::make_shared<CharTokenizer>(std::move(file));
    case TokenizerKind::bpe:
      break;
  }
  return make_bpe_tokenizer(std::move(file));
}

TokenizerPtr make_byte_tokenizer() {
  TokenizerFile file;
  file.kind = TokenizerKind::byte;
  for (int byte = 0; byte < 256; ++byte) file.vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
  return make_tokenizer(std::move(file));
}

TokenizerPtr make_char_tokenizer(const std::vector<uint32_t>& characters) {
  std::vector<uint32_t> sorted = characters;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  TokenizerFile file;
  file.kind = TokenizerKind::chars;
  for (const uint32_t code : sorted) append_utf8(file.vocabulary.tokens.emplace_back(), code);
  return make_tokenizer(std::move(file));
}

TokenizerPtr read_gpt2_tokenizer(const std::string& folder) {
  TokenizerFile file;
  file.vocabulary = read_bpe_files(folder);
  return make_tokenizer(std::move(file));
}

TokenizerPtr read_tokenizer(const std::string& path) {
  return make_tokenizer(read_tokenizer_json(path));
}

TokenizerPtr read_tiktoken_tokenizer(const std::string& path, SplitKind split) {
  return make_tokenizer(read_tiktoken_ranks(path, split));
}

TokenizerPtr open_tokenizer(const std::string& name) {
  if (name == "byte") return make_byte_tokenizer();
  if (name.rfind("gpt2:", 0) == 0) return read_gpt2_tokenizer(name.substr(5));
  if (name.rfind("tiktoken:", 0) == 0) {
    const size_t colon = name.rfind(':');  // that of the prefix when there is no pattern
    const std::optional<SplitKind> split = split_of_name(name.substr(colon + 1));
    if (colon < 9 || !split) throw UsageError("--tokenizer tiktoken:FILE:PATTERN needs one of the patterns " + split_names());
    return read_tiktoken_tokenizer(name.substr(9, colon - 9), *split);
  }
  std::error_code ignored;
  if (!std::filesystem::is_directory(name, ignored)) return read_tokenizer(name);
  const std::string inside = name + "/tokenizer.json";
  return std::filesystem::exists(inside, ignored) ? read_tokenizer(inside) : read_gpt2_tokenizer(name);
}

}  // namespace aot
