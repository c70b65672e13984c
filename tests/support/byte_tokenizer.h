// SPDX-License-Identifier: Apache-2.0
// A tokenizer for tests of rooms above `data`: ids 0..255 are bytes, 256 may end documents.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aot/data/tokenizer.h"

namespace aot::test {

class ByteTokenizer : public Tokenizer {
 public:
  explicit ByteTokenizer(bool with_end = false, int64_t vocab_size = 0) : with_end_(with_end), vocab_size_(vocab_size) {
    for (int i = 0; i < 256; ++i) bytes_ += static_cast<char>(i);
  }
  [[nodiscard]] std::string kind() const override { return "byte"; }
  [[nodiscard]] int64_t vocab_size() const override { return vocab_size_ != 0 ? vocab_size_ : with_end_ ? 257 : 256; }
  using Tokenizer::encode;
  void encode(std::string_view text, std::vector<int32_t>& ids) const override {
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  }
  [[nodiscard]] std::string_view bytes_of(int32_t id) const override {
    return id < 256 ? std::string_view(bytes_).substr(static_cast<size_t>(id), 1) : std::string_view();
  }
  [[nodiscard]] int32_t end_of_text() const override { return with_end_ ? 256 : -1; }
  [[nodiscard]] std::string to_json() const override { return "{}"; }

 private:
  bool with_end_;
  int64_t vocab_size_;
  std::string bytes_;
};

}  // namespace aot::test
