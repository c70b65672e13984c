// SPDX-License-Identifier: Apache-2.0
#include "aot/io/tiktoken_ranks.h"

#include <algorithm>
#include <unordered_map>

#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/json_reader.h"

namespace aot {
namespace {

constexpr uint64_t kMaxBytes = 64u << 20;
constexpr std::string_view kEndOfText = "<|endoftext|>";
// The longest token of published files has 128 bytes; each token is looked up at each of its bytes.
constexpr size_t kMaxTokens = 1'000'000, kMaxTokenBytes = 256, kMaxMerges = 2'000'000;

int digit_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/// Base64 with its padding (RFC 4648); false when it is none.
bool from_base64(std::string_view text, std::string& bytes) {
  bytes.clear();
  if (text.empty() || text.size() % 4 != 0) return false;
  const size_t padding = text.size() - (text.find_last_not_of('=') + 1);
  if (padding > 2) return false;
  uint32_t bits = 0;
  int held = 0;
  for (const char c : text.substr(0, text.size() - padding)) {
    const int digit = digit_of(c);
    if (digit < 0) return false;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    held += 6;
    if (held >= 8) bytes += static_cast<char>(bits >> (held -= 8) & 0xff);
  }
  return (bits & ((1u << held) - 1)) == 0;
}

class Parser {
 public:
  Parser(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  TokenizerFile run(SplitKind split) {
    if (const auto kind = looks_like(text_); !kind.empty())
      throw FileError(path_, "", str("looks like ", kind, ", need lines of a token in base64 and its rank"));
    read_lines();
    check_bytes();
    TokenizerFile file;
    file.split = split;
    file.ignore_merges = true;
    BpeFiles& vocabulary = file.vocabulary;
    find_merges(vocabulary.merges);
    const bool has_end = ids_.count(kEndOfText) > 0;  // as text: then there is no special token
    ids_.clear();
    vocabulary.tokens = std::move(tokens_);
    if (has_end) return file;
    vocabulary.special = {static_cast<int32_t>(vocabulary.tokens.size())};
    vocabulary.tokens.emplace_back(kEndOfText);
    return file;
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const { throw FileError(path_, str("line ", line_), problem); }

  void read_lines() {
    std::vector<bool> is_there;
    std::string bytes;
    size_t count = 0;
    for (size_t at = 0; at < text_.size();) {
      const size_t end = std::min(text_.find('\n', at), text_.size());
      std::string_view line = text_.substr(at, end - at);
      at = end + 1;
      ++line_;
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      if (line.empty()) continue;
      const size_t space = line.find(' ');
      int64_t rank = 0;
      if (space == std::string_view::npos || !integer_of(line.substr(space + 1), rank))
        fail(str("need a token in base64, a space and its rank (found '", escaped(line, 60), "')"));
      if (space > (kMaxTokenBytes + 2) / 3 * 4) fail(str("token longer than ", kMaxTokenBytes, " bytes"));
      if (!from_base64(line.substr(0, space), bytes)) fail(str("not base64: '", escaped(line.substr(0, space), 60), "'"));
      if (bytes.size() > kMaxTokenBytes) fail(str("token longer than ", kMaxTokenBytes, " bytes"));
      if (rank < 0 || rank >= static_cast<int64_t>(kMaxTokens))
        fail(str("the rank must be an integer from 0 to ", kMaxTokens - 1, " (found ", escaped(line.substr(space + 1), 40), ")"));
      const auto id = static_cast<size_t>(rank);
      if (id >= tokens_.size()) {
        tokens_.resize(id + 1);
        is_there.resize(id + 1);
      }
      if (is_there[id]) fail(str("rank ", rank, " is used by '", escaped(tokens_[id], 40), "' and '", escaped(bytes, 40), "'"));
      is_there[id] = true;
      tokens_[id] = bytes;
      ++count;
    }
    if (count == 0) throw FileError(path_, "", "holds no tokens");
    const auto hole = std::find(is_there.begin(), is_there.end(), false);
    if (hole != is_there.end())
      throw FileError(path_, "", str("no token for id ", hole - is_there.begin(), " (ranks go up to ", tokens_.size() - 1, ")"));
    ids_.reserve(tokens_.size());
    for (size_t id = 0; id < tokens_.size(); ++id)
      if (const auto [found, is_new] = ids_.emplace(tokens_[id], static_cast<int32_t>(id)); !is_new)
        throw FileError(path_, "", str("token '", escaped(tokens_[id], 60), "' has the ranks ", found->second, " and ", id));
  }

  void check_bytes() const {
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      if (ids_.count({&c, 1}) == 0) throw FileError(path_, "", str("no token for byte ", byte));
    }
  }

  void find_merges(std::vector<BpeMerge>& merges) const {
    for (size_t id = 0; id < tokens_.size(); ++id) {
      const std::string_view token = tokens_[id];
      const size_t first = merges.size();
      for (size_t cut = 1; cut < token.size(); ++cut) {
        const auto left = ids_.find(token.substr(0, cut));
        if (left == ids_.end()) continue;
        const auto right = ids_.find(token.substr(cut));
        if (right == ids_.end()) continue;
        if (merges.size() == kMaxMerges) throw FileError(path_, "", str("more than ", kMaxMerges, " merges"));
        merges.push_back({left->second, right->second, static_cast<int32_t>(id)});
      }
      std::sort(merges.begin() + static_cast<std::ptrdiff_t>(first), merges.end(),
                [](const BpeMerge& a, const BpeMerge& b) { return a.left != b.left ? a.left < b.left : a.right < b.right; });
    }
  }

  std::string_view text_;
  const std::string& path_;
  size_t line_ = 0;
  std::vector<std::string> tokens_;  // by rank
  std::unordered_map<std::string_view, int32_t> ids_;
};

}  // namespace

TokenizerFile parse_tiktoken_ranks(std::string_view text, const std::string& path, SplitKind split) {
  if (text.size() > kMaxBytes) throw FileError(path, "", str("larger than ", limit_text(kMaxBytes)));
  return Parser(text, path).run(split);
}

TokenizerFile read_tiktoken_ranks(const std::string& path, SplitKind split) {
  return parse_tiktoken_ranks(read_file(path, kMaxBytes), path, split);
}

}  // namespace aot
