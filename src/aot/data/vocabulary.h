// SPDX-License-Identifier: Apache-2.0
// What the tokenizers have in common: a vocabulary as files hold it. Not for use outside this room.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aot/data/tokenizer.h"
#include "aot/io/tokenizer_json.h"

namespace aot {

class VocabularyTokenizer : public Tokenizer {
 public:
  explicit VocabularyTokenizer(TokenizerFile file);
  [[nodiscard]] std::string kind() const override;
  [[nodiscard]] int64_t vocab_size() const override { return static_cast<int64_t>(file_.vocabulary.tokens.size()); }
  [[nodiscard]] std::string_view bytes_of(int32_t id) const override;
  [[nodiscard]] int32_t end_of_text() const override { return end_of_text_; }
  [[nodiscard]] std::string to_json() const override { return tokenizer_json_text(file_); }

 protected:
  [[nodiscard]] const TokenizerFile& file() const { return file_; }
  [[nodiscard]] const BpeFiles& vocabulary() const { return file_.vocabulary; }
  [[nodiscard]] bool is_special(int32_t id) const;

 private:
  TokenizerFile file_;
  int32_t end_of_text_ = -1;
};

/// The tokenizer of that kind.
TokenizerPtr make_tokenizer(TokenizerFile file);
TokenizerPtr make_bpe_tokenizer(TokenizerFile file);

}  // namespace aot
