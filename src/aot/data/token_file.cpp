// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <vector>

#include "aot/data/token_dataset.h"
#include "aot/io/error.h"
#include "aot/io/sha256.h"

namespace aot {
namespace {

template <class Token>
int64_t token_at(const char* bytes, int64_t index) {
  Token token;  // little-endian, as every machine that LibTorch is built for
  std::memcpy(&token, bytes + static_cast<size_t>(index) * sizeof(Token), sizeof token);
  return token;
}

int64_t token_at(const char* bytes, int64_t index, int bytes_per_token) {
  return bytes_per_token == 2 ? token_at<uint16_t>(bytes, index) : token_at<uint32_t>(bytes, index);
}

/// Whether a file looks as if 32-bit tokens were read as 16-bit ones: every second one is 0, and not every one.
class HalfZero {
 public:
  void see(int64_t index, int64_t token) {
    if (index % 2 == 1)
      odd_is_zero_ &= token == 0;
    else
      even_is_zero_ &= token == 0;
  }
  [[nodiscard]] bool holds(int64_t tokens) const { return tokens >= 64 && tokens % 2 == 0 && odd_is_zero_ && !even_is_zero_; }

 private:
  bool odd_is_zero_ = true, even_is_zero_ = true;
};

}  // namespace

TokenFile::TokenFile(const std::string& path, int bytes_per_token, int64_t vocab_size, std::string sha256)
    : file_(path),
      bytes_per_token_(bytes_per_token),
      vocab_size_(vocab_size),
      tokens_(static_cast<int64_t>(file_.size() / static_cast<uint64_t>(bytes_per_token))),
      sha256_(std::move(sha256)) {
  if (file_.size() == 0) throw FileError(path, "", "empty file");
  if (file_.size() % static_cast<uint64_t>(bytes_per_token) != 0)
    throw FileError(path, "", str("not a whole number of tokens (found ", file_.size(), " bytes, a token has ", bytes_per_token, ")"));
}

void TokenFile::read(int64_t first, int64_t count, int64_t* into) const {
  if (first < 0 || count < 0 || first > tokens_ || count > tokens_ - first)
    throw FileError(path(), "", str("has ", tokens_, " tokens, need tokens ", first, " to ", first + count));
  const auto width = static_cast<size_t>(bytes_per_token_);
  const size_t bytes = static_cast<size_t>(count) * width;
  // Read to the end of `into`, then widened from the front: a token is never overwritten before it is read.
  char* raw = reinterpret_cast<char*>(into) + static_cast<size_t>(count) * sizeof(int64_t) - bytes;
  file_.read_at(static_cast<uint64_t>(first) * width, raw, bytes);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t token = token_at(raw, i, bytes_per_token_);
    if (token >= vocab_size_)
      throw FileError(path(), str("token ", first + i), str("id ", token, " is outside the vocabulary of ", vocab_size_));
    into[i] = token;
  }
}

void TokenFile::check_all() const {
  constexpr int64_t kPiece = 1 << 18;
  std::vector<int64_t> tokens(static_cast<size_t>(std::min(kPiece, tokens_)));
  HalfZero half_zero;
  for (int64_t first = 0; first < tokens_; first += kPiece) {
    const int64_t count = std::min(kPiece, tokens_ - first);
    read(first, count, tokens.data());
    for (int64_t i = 0; i < count; ++i) half_zero.see(first + i, tokens[static_cast<size_t>(i)]);
  }
  if (bytes_per_token_ == 2 && half_zero.holds(tokens_))
    throw FileError(path(), "", "every second token is 0: u32?", "a .bin without meta.json must be uint16");
  if (!sha256_.empty() && file_sha256(file_) != sha256_) throw FileError(path(), "", "digest mismatch: not what meta.json was written for");
  file_.check_unchanged();
}

}  // namespace aot
