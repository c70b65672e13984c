// SPDX-License-Identifier: Apache-2.0
// Any bytes, through the tokenizers that take any: they come back, and cutting where it is said to be safe changes nothing.
#include "aot/data/vocabulary.h"
#include "tests/fuzz/target.h"

namespace {

using namespace aot;

/// The bytes, a few words with merges that compete, one special token, and with `added` one that is found before splitting.
TokenizerPtr small_bpe(SplitKind split, bool added) {
  const std::string words[] = {"th",   "the", " t",  " th", " the", "en",       "aa", "aaa",
                               "aaaa", "'l",  "'ll", "  ",  "\n\n", "\xc3\xa9", "12", "he"};
  std::string vocabulary = "{";
  int id = 0;
  const auto add = [&](const std::string& token) {
    std::string text;
    for (const char c : to_byte_alphabet(token)) text += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    vocabulary += str(id == 0 ? "\"" : ",\"", text, "\":", id);
    ++id;
  };
  for (int byte = 0; byte < 256; ++byte) add(std::string(1, static_cast<char>(byte)));
  for (const std::string& word : words) add(word);
  vocabulary += ",\"<|endoftext|>\":" + std::to_string(id) + "}";
  const char* merges = "t h\nth e\nĠ t\nĠ th\nĠt h\nĠ the\nĠth e\ne n\na a\naa a\naa aa\n' l\n'l l\nĠ Ġ\nĊ Ċ\nÃ ©\n1 2\nh e\n";
  TokenizerFile file;
  file.vocabulary = parse_bpe_files(vocabulary, "encoder.json", merges, "vocab.bpe");
  file.split = split;
  file.ignore_merges = added;
  if (added) {
    file.vocabulary.added = {static_cast<int32_t>(file.vocabulary.tokens.size())};
    file.vocabulary.tokens.emplace_back("e a\n");
  }
  return make_tokenizer(std::move(file));
}

void check(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids = tokenizer.encode(text);
  for (const int32_t id : ids) require(id >= 0 && id < tokenizer.vocab_size() && id != tokenizer.end_of_text(), "ids are those of bytes");
  require(tokenizer.decode(ids) == text, "decoding undoes encoding");
  // A reader that holds the first half so far encodes a safe part of it and goes on after that.
  const size_t cut = tokenizer.safe_cut(text.substr(0, text.size() / 2));
  std::vector<int32_t> parts = tokenizer.encode(text.substr(0, cut));
  tokenizer.encode(text.substr(cut), parts);
  require(parts == ids, "a safe cut changes no ids");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TokenizerPtr tokenizers[] = {make_byte_tokenizer(), small_bpe(SplitKind::gpt2, false), small_bpe(SplitKind::cl100k, false),
                                            small_bpe(SplitKind::llama3, true), small_bpe(SplitKind::o200k, true)};
  for (const TokenizerPtr& tokenizer : tokenizers) check(*tokenizer, text_of(data, size));
  return 0;
}
