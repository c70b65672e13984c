// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/benchmark_text.h"

#include <algorithm>
#include <array>

#include "aot/core/text.h"
#include "aot/io/error.h"

namespace aot {
namespace {

bool is_space(char c) {
  return kAsciiSpaces.find(c) != std::string_view::npos;
}

/// Counts over the parts of a text.
class WordCounter {
 public:
  void add(std::string_view text) {
    for (const char c : text) {
      const bool space = is_space(c);
      if (!space && !inside_) ++words_;
      inside_ = !space;
    }
  }
  void separate() { inside_ = false; }
  [[nodiscard]] int64_t words() const { return words_; }

 private:
  int64_t words_ = 0;
  bool inside_ = false;
};

bool joins_left(std::string_view word) {
  constexpr std::array<std::string_view, 8> kClitics = {"n't", "'s", "'re", "'ve", "'m", "'ll", "'d", "'"};
  return std::find(kClitics.begin(), kClitics.end(), word) != kClitics.end();
}

}  // namespace

Separator separator_of(const Tokenizer& tokenizer) {
  const std::optional<int32_t> id = tokenizer.separator();
  if (!id)
    throw Error(ExitCode::bad_file, "the model's tokenizer has no <|endoftext|>, nor one token for a line feed",
                "texts need one of them at their end");
  return {*id, tokenizer.end_of_text() >= 0 ? "<|endoftext|>" : "line feed"};
}

std::vector<int32_t> encode_item(std::string_view text, const Tokenizer& tokenizer, const std::string& path, int64_t line) {
  std::vector<int32_t> ids;
  try {
    tokenizer.encode(text, ids);
  } catch (const Error& error) {
    throw FileError(path, str("line ", line), error.problem, error.hint, error.code);
  }
  return ids;
}

ItemTokens encode_items(std::span<const TextItem> items, const Tokenizer& tokenizer, const Separator& separator, const std::string& path) {
  ItemTokens out;
  for (const TextItem& item : items) {
    const int64_t words = count_words(item.text);
    if (words > 0) {
      const std::vector<int32_t> ids = encode_item(item.text, tokenizer, path, item.line);
      out.tokens.insert(out.tokens.end(), ids.begin(), ids.end());
    }
    out.tokens.push_back(separator.id);
    out.words += words;
  }
  return out;
}

ItemTokens encode_detokenised(std::span<const TextItem> items, const Tokenizer& tokenizer, const std::string& path) {
  ItemTokens out;
  std::string text;
  for (const TextItem& item : items) {
    if (&item != items.data()) text += '\n';
    text += detokenised_ptb(item.text);
    out.words += count_words(item.text);
  }
  out.tokens = encode_item(text, tokenizer, path, items.empty() ? 0 : items.front().line);
  return out;
}

std::string detokenised_ptb(std::string_view line) {
  std::string out;
  bool joins_right = true;
  while (true) {
    while (!line.empty() && is_space(line.front())) line.remove_prefix(1);
    if (line.empty()) return out;
    const size_t end = std::min(line.find_first_of(kAsciiSpaces), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(end);
    if (!joins_right && !joins_left(word)) out += ' ';
    for (size_t i = 0; i < word.size(); ++i)
      if (word[i] != '\\' || i + 1 == word.size() || word[i + 1] != '/') out += word[i];
    joins_right = word == "$" || word == "#";
  }
}

int64_t count_words(std::string_view text) {
  WordCounter counter;
  counter.add(text);
  return counter.words();
}

int64_t count_words(const TokenSource& source, const Tokenizer& tokenizer) {
  constexpr int64_t kPiece = 1 << 16;
  WordCounter counter;
  std::vector<int64_t> ids;
  for (int64_t first = 0; first < source.tokens; first += kPiece) {
    ids.resize(static_cast<size_t>(std::min(kPiece, source.tokens - first)));
    source.read(first, static_cast<int64_t>(ids.size()), ids.data());
    for (const int64_t id : ids) {
      const std::string_view bytes = tokenizer.bytes_of(static_cast<int32_t>(id));
      if (bytes.empty()) counter.separate();
      counter.add(bytes);
    }
  }
  return counter.words();
}

}  // namespace aot
