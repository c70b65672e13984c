// SPDX-License-Identifier: Apache-2.0
#include "aot/io/bpe_files.h"

#include <algorithm>
#include <array>

#include <gtest/gtest.h>

#include "aot/io/json.h"
#include "aot/io/tiktoken_ranks.h"
#include "aot/io/tokenizer_json.h"
#include "tests/support/files.h"

namespace aot {
namespace {

/// A vocabulary of the 256 bytes in order, then the merges t+h, th+e, space+the, then <|endoftext|>.
std::vector<std::pair<std::string, std::string>> vocabulary_lines() {
  std::vector<std::pair<std::string, std::string>> lines;
  for (int byte = 0; byte < 256; ++byte)
    lines.emplace_back(to_byte_alphabet(std::string(1, static_cast<char>(byte))), std::to_string(byte));
  for (const char* token : {"th", "the", "\xc4\xa0the", "<|endoftext|>"}) lines.emplace_back(token, std::to_string(lines.size()));
  return lines;
}

std::string as_json(const std::vector<std::pair<std::string, std::string>>& lines) {
  std::string text = "{";
  for (const auto& [token, id] : lines) text += (text.size() > 1 ? ", " : "") + dump_json(Json(token)) + ": " + id;
  return text + "}";
}

const char* const kMerges = "#version: 0.2\nt h\nth e\n\xc4\xa0 the\n";

BpeFiles parse(const std::string& vocabulary, const std::string& merges) {
  return parse_bpe_files(vocabulary, "encoder.json", merges, "vocab.bpe");
}

BpeFiles example() {
  return parse(as_json(vocabulary_lines()), kMerges);
}

/// Expects a refusal of the good vocabulary with entry `token` given another id, name, or left out (empty `id`).
void refused_vocabulary(std::string_view words, const std::string& token, const std::string& new_token, const std::string& id) {
  auto lines = vocabulary_lines();
  const auto line = std::find_if(lines.begin(), lines.end(), [&](const auto& entry) { return entry.first == token; });
  ASSERT_NE(line, lines.end());
  if (id.empty()) {
    lines.erase(line);
  } else {
    *line = {new_token, id};
  }
  expect_error(3, words, [&] { parse(as_json(lines), kMerges); });
}

void refused_merges(std::string_view words, const std::string& merges) {
  expect_error(3, words, [&] { parse(as_json(vocabulary_lines()), merges); });
}

TEST(ByteAlphabet, IsGpt2sAndReversible) {
  EXPECT_EQ(to_byte_alphabet(" a\n"),
            "\xc4\xa0"
            "a\xc4\x8a");
  EXPECT_EQ(to_byte_alphabet("~\x7f\xa0\xa1\xad\xff"), "~\xc4\xa1\xc5\x82\xc2\xa1\xc5\x83\xc3\xbf");
  std::string all, back;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  ASSERT_TRUE(from_byte_alphabet(to_byte_alphabet(all), back));
  EXPECT_EQ(back, all);
  EXPECT_FALSE(from_byte_alphabet(" ", back));
  EXPECT_FALSE(from_byte_alphabet("\xc5\x84", back)) << "U+0144 is one too far";
}

TEST(BpeFiles, TokensAreBytesAndMergesAreIds) {
  const BpeFiles files = example();
  ASSERT_EQ(files.tokens.size(), 260u);
  EXPECT_EQ(files.tokens[0xff], "\xff");
  EXPECT_EQ(files.tokens[258], " the");
  EXPECT_EQ(files.tokens[259], "<|endoftext|>");
  EXPECT_EQ(files.special, std::vector<int32_t>{259});
  ASSERT_EQ(files.merges.size(), 3u);
  EXPECT_EQ(files.merges[1].left, 256);
  EXPECT_EQ(files.merges[1].right, 'e');
  EXPECT_EQ(files.merges[1].result, 257);
}

TEST(BpeFiles, LineEndsAndAVersionLineDoNotMatter) {
  for (const char* merges : {"t h\nth e\n\xc4\xa0 the", "#version: 0.2\r\nt h\r\nth e\r\n\xc4\xa0 the\r\n"})
    EXPECT_EQ(parse(as_json(vocabulary_lines()), merges).merges.size(), 3u);
}

TEST(BpeFiles, BothPairsOfNamesAreRead) {
  const TestFolder folder;
  expect_error(3, "no such file: need encoder.json and vocab.bpe", [&] { read_bpe_files(folder.path()); });
  folder.write("vocab.json", as_json(vocabulary_lines()));
  expect_error(3, "merges.txt: no such file", [&] { read_bpe_files(folder.path()); });
  folder.write("merges.txt", kMerges);
  EXPECT_EQ(read_bpe_files(folder.path()).tokens.size(), 260u);
  folder.write("encoder.json", as_json(vocabulary_lines()));
  folder.write("vocab.bpe", kMerges);
  EXPECT_EQ(read_bpe_files(folder.path()).merges.size(), 3u);
}

TEST(BpeFiles, BadIdsAreRefused) {
  for (const char* id : {"-1", "1.5", "\"7\"", "2147483648", "1000000", "1e2", "null", "[]"})
    refused_vocabulary("token 'the': id must be an integer from 0 to 999999 (found ", "the", "the", id);
  refused_vocabulary("id 256 is used by 'th' and 'the'", "the", "the", "256");
  refused_vocabulary("no token for id 257 (ids go up to 300)", "the", "the", "300");
  refused_vocabulary("no token for id 100", to_byte_alphabet("d"), "", "");
  refused_vocabulary("no token for byte 0x80", to_byte_alphabet("\x80"), "other", "128");
}

TEST(BpeFiles, BadTokensAreRefused) {
  refused_vocabulary("empty token", "the", "", "257");
  refused_vocabulary("token longer than 1024 bytes", "the", std::string(1 << 20, 'x'), "257");
  refused_vocabulary("duplicate token 'th' has the ids 256 and 257", "the", "th", "257");
  refused_vocabulary("token 'xyz' (id 259) is made by no merge", "<|endoftext|>", "xyz", "259");
  expect_error(3, "need an object", [] { parse("[]", ""); });
  expect_error(3, "the vocabulary is empty", [] { parse("{}", ""); });
  expect_error(3, "nested deeper than", [] { parse(std::string(100'000, '['), ""); });
  expect_error(3, "not valid JSON at byte", [] { parse(as_json(vocabulary_lines()).substr(0, 500), kMerges); });
}

TEST(BpeFiles, BadMergesAreRefusedByNumber) {
  refused_merges("merge 2: need two parts", "t h\nthe\n");
  refused_merges("merge 2: need two parts", "t h\nth e x\n");
  refused_merges("merge 2: need two parts", "t h\n\nth e\n");
  refused_merges("merge 2: need two parts", "t h\n e\n");
  refused_merges("merge 2: the part 'xyz' is not in the vocabulary", "t h\nxyz e\n");
  refused_merges("merge 2: the result 'ea' is not in the vocabulary", "t h\ne a\n");
  refused_merges("merge 3: repeats merge 1", "t h\nth e\nt h\n");
  refused_merges("merge 2: the part 'the' is made by no merge", "t h\n\xc4\xa0 the\n");
  refused_merges("not valid UTF-8 at byte 4", "t h\n\xff e\n");
  refused_merges("looks like gzip", "\x1f\x8b\x08");
  refused_merges("token '\xc4\xa0the' (id 258) is made by no merge", "t h\nth e\n");
}

TokenizerFile parse_json_text(const std::string& text) {
  return parse_tokenizer_json(text, "tokenizer.json");
}

TokenizerFile characters() {
  TokenizerFile file;
  file.kind = TokenizerKind::chars;
  file.vocabulary.tokens = {"\n", " ", "a", "\xe2\x82\xac", std::string(1, '\0'), "<|endoftext|>"};
  file.vocabulary.special = {5};
  return file;
}

TokenizerFile bytes() {
  TokenizerFile file;
  file.kind = TokenizerKind::byte;
  for (int byte = 0; byte < 256; ++byte) file.vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
  return file;
}

TEST(TokenizerJson, EveryKindReadsBackAsWritten) {
  TokenizerFile bpe;
  bpe.vocabulary = example();
  for (const TokenizerFile& file : {bytes(), characters(), bpe}) {
    const std::string text = tokenizer_json_text(file);
    const TokenizerFile back = parse_json_text(text);
    EXPECT_EQ(back.kind, file.kind);
    EXPECT_EQ(back.vocabulary.tokens, file.vocabulary.tokens);
    EXPECT_EQ(back.vocabulary.special, file.vocabulary.special);
    EXPECT_EQ(back.vocabulary.merges.size(), file.vocabulary.merges.size());
    EXPECT_EQ(tokenizer_json_text(back), text);
  }
}

/// The text with one spot replaced.
std::string with_text(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}
std::string with_all(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
  return text;
}
std::string with(const TokenizerFile& file, const std::string& from, const std::string& to) {
  return with_text(tokenizer_json_text(file), from, to);
}

void refused(std::string_view words, const std::string& text) {
  expect_error(3, words, [&] { parse_json_text(text); });
}

TEST(TokenizerJson, WhatOthersWriteForGpt2IsRead) {
  TokenizerFile bpe;
  bpe.vocabulary = example();
  std::string text = with(bpe, ",\"use_regex\":true", "");
  const std::string merges = "[\"t h\",\"th e\",\"\xc4\xa0 the\"]";
  text.replace(text.find(merges), merges.size(), "[[\"t\",\"h\"],[\"th\",\"e\"],[\"\xc4\xa0\",\"the\"]]");
  text.replace(text.find("\"post_processor\":null"), 21, "\"post_processor\":{\"type\":\"ByteLevel\",\"trim_offsets\":false}");
  EXPECT_EQ(parse_json_text(text).vocabulary.merges.size(), 3u);
}

TEST(TokenizerJson, WhatIsNotOursIsNotSupported) {
  TokenizerFile bpe;
  bpe.vocabulary = example();
  refused("key 'model.type': not supported: \"Unigram\"", with(bpe, "\"type\":\"BPE\"", "\"type\":\"Unigram\""));
  refused("key 'normalizer': not supported", with(bpe, "\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}"));
  refused("key 'pre_tokenizer': not supported: Whitespace",
          with(bpe, "\"pre_tokenizer\":{\"type\":\"ByteLevel\"", "\"pre_tokenizer\":{\"type\":\"Whitespace\""));
  refused("key 'pre_tokenizer.add_prefix_space': not supported", with(bpe, "\"add_prefix_space\":false", "\"add_prefix_space\":true"));
  refused("key 'post_processor': not supported: BertProcessing",
          with(bpe, "\"post_processor\":null", "\"post_processor\":{\"type\":\"BertProcessing\"}"));
  refused(
      "key 'post_processor': not supported: RobertaProcessing",
      with(bpe, "\"post_processor\":null", "\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"RobertaProcessing\"}]}"));
  refused("key 'decoder': not supported", with(bpe, "\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"WordPiece\""));
  refused("key 'decoder': not supported", with(characters(), "{\"type\":\"Fuse\"}", "null"));
  refused("key 'model.byte_fallback': not supported", with(bpe, "\"byte_fallback\":false", "\"byte_fallback\":true"));
  refused("key 'model.dropout': not supported", with(bpe, "\"dropout\":null", "\"dropout\":0.1"));
  refused("key 'model.extra': not supported: unknown key", with(bpe, "\"dropout\":null", "\"extra\":null"));
  refused("key 'model.unk_token': not supported", with(characters(), "\"unk_token\":null", "\"unk_token\":\"a\""));
  for (const std::string flag : {"single_word", "lstrip", "rstrip"})
    refused("key 'added_tokens': not supported: token '<|endoftext|>' with " + flag,
            with(bpe, "\"" + flag + "\":false", "\"" + flag + "\":true"));
  refused("not supported: merges", with(bpe, "\"use_regex\":true", "\"use_regex\":false"));
  TokenizerFile swapped = bytes();
  std::swap(swapped.vocabulary.tokens[1], swapped.vocabulary.tokens[2]);
  refused("not supported: bytes in another order: id 1 is not byte 1", tokenizer_json_text(swapped));
  refused("missing key 'model.vocab'", "{\"version\":\"1.0\"}");
  refused("key 'version': not supported", with(bpe, "\"1.0\"", "\"2.0\""));
  refused("need an object", "[]");
  refused("nested deeper than 64", std::string(100'000, '['));
  refused("duplicate key 'version'", "{\"version\":\"1.0\",\"version\":\"1.0\"}");
}

TEST(TokenizerJson, BadSpecialTokensAreRefused) {
  TokenizerFile bpe;
  bpe.vocabulary = example();
  refused("special token with id 259 is empty", with(bpe, "\"content\":\"<|endoftext|>\"", "\"content\":\"\""));
  refused("special token '<|endoftext|>' has the ids 259 and 258",
          with(bpe, "\"added_tokens\":[{\"id\":259", "\"added_tokens\":[{\"id\":258"));
  refused("special token '<|x|>': id 999 is outside the vocabulary of 261 tokens",
          with(bpe, "[{\"id\":259,\"content\":\"<|endoftext|>\"", "[{\"id\":999,\"content\":\"<|x|>\""));
  refused("special token: id 259 is used by", with(bpe, "\"content\":\"<|endoftext|>\"", "\"content\":\"<|x|>\""));
  refused("id must be an integer", with(bpe, "\"added_tokens\":[{\"id\":259", "\"added_tokens\":[{\"id\":-1"));
  refused("special token 'a' is an ordinary token too",
          with(characters(), "[{\"id\":5,\"content\":\"<|endoftext|>\"", "[{\"id\":2,\"content\":\"a\""));
  TokenizerFile not_listed = characters();
  not_listed.vocabulary.special.clear();
  refused("token '<|endoftext|>' is not one character", tokenizer_json_text(not_listed));
  refused("merge 1: need two parts", with(bpe, "\"t h\"", "\"th\""));
  refused("merge 1: need two parts (found 1)", with(bpe, "\"t h\"", "[\"t\"]"));
  refused("merge 1: need a text or two texts", with(bpe, "\"t h\"", "7"));
}

TEST(TokenizerJson, SplitsOfOtherModelsAreReadByTheTextOfTheirPattern) {
  TokenizerFile file;
  file.vocabulary = example();
  for (const SplitKind kind : {SplitKind::gpt2, SplitKind::cl100k, SplitKind::llama3, SplitKind::o200k}) {
    file.split = kind;
    file.ignore_merges = kind != SplitKind::gpt2;
    const TokenizerFile back = parse_json_text(tokenizer_json_text(file));
    EXPECT_EQ(back.split, kind);
    EXPECT_EQ(back.ignore_merges, file.ignore_merges);
  }
  file.split = SplitKind::llama3;
  const std::string text = tokenizer_json_text(file);
  const std::string keeps_inverted = with_text(with_text(text, "\"Isolated\"", "\"Removed\""), "\"invert\":false", "\"invert\":true");
  EXPECT_EQ(parse_json_text(keeps_inverted).split, SplitKind::llama3);
  const std::string key = "key 'pre_tokenizer.pretokenizers': not supported: ";
  refused(key + "Split that is not Isolated", with_text(text, "\"Isolated\"", "\"Removed\""));
  refused(key + "the pattern {\"String\":", with_text(text, "\"Regex\"", "\"String\""));
  refused(key + "the pattern {\"Regex\":", with_text(text, "{1,3}", "{1,4}"));
  refused(key + "a second split by ByteLevel", with_text(text, "\"use_regex\":false}]", "\"use_regex\":true}]"));
  refused(key + "Digits, ByteLevel; need Split, ByteLevel", with_text(text, "\"Split\"", "\"Digits\""));
}

TEST(TokenizerJson, NoAddedTokenIsPartOfAMerge) {
  TokenizerFile file;
  file.vocabulary = example();
  file.split = SplitKind::llama3;
  file.ignore_merges = true;
  file.vocabulary.tokens.emplace_back("<|endoftext|>e");  // 260: found as a whole piece
  EXPECT_EQ(parse_json_text(tokenizer_json_text(file)).vocabulary.tokens[260], "<|endoftext|>e");
  file.vocabulary.merges.push_back({259, 'e', 260});
  const std::string text = tokenizer_json_text(file);
  refused("merge 4: the part '<|endoftext|>' is made by no merge", text);
  refused("merge 4: the part '日' is made by no merge", with_all(text, "<|endoftext|>", "日"));
}

TEST(TokenizerJson, AddedTokensNeedNotBeSpecial) {
  TokenizerFile file;
  file.vocabulary = example();
  const std::string text = with(file, "\"special\":true", "\"special\":false");
  const TokenizerFile back = parse_json_text(with_text(text, "\"normalized\":false", "\"normalized\":true"));
  EXPECT_TRUE(back.vocabulary.special.empty());
  EXPECT_EQ(back.vocabulary.added, std::vector<int32_t>{259});
  EXPECT_EQ(back.vocabulary.normalized, std::vector<int32_t>{259});
  const TokenizerFile again = parse_json_text(tokenizer_json_text(back));
  EXPECT_EQ(again.vocabulary.added, back.vocabulary.added);
  EXPECT_EQ(again.vocabulary.normalized, back.vocabulary.normalized);
  refused(
      "added token 'Ġthe' is an ordinary token of other bytes too",
      R"({"version":"1.0","decoder":{"type":"ByteLevel"},"pre_tokenizer":{"type":"ByteLevel"},"added_tokens":[{"id":258,"content":"Ġthe","special":false}],)" +
          text.substr(text.find("\"model\"")));
}

TEST(TokenizerJson, OneSpecialTokenMayStartAnother) {
  TokenizerFile file = characters();
  file.vocabulary.tokens.emplace_back("<|endoftext|>2");
  file.vocabulary.special = {5, 6};
  EXPECT_EQ(parse_json_text(tokenizer_json_text(file)).vocabulary.special.size(), 2u);
}

std::string base64_of(std::string_view bytes) {
  const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j) bits = bits << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0);
    for (size_t j = 0; j < 4; ++j) text += i + j > bytes.size() ? '=' : kDigits[bits >> (18 - 6 * j) & 63];
  }
  return text;
}

std::string rank_lines(const std::vector<std::string>& words) {
  std::string text;
  int rank = 0;
  for (int byte = 0; byte < 256; ++byte) text += base64_of(std::string(1, static_cast<char>(byte))) + " " + std::to_string(rank++) + "\n";
  for (const std::string& word : words) text += base64_of(word) + " " + std::to_string(rank++) + "\n";
  return text;
}

TEST(TiktokenRanks, TokensMergesAndTheEndOfText) {
  const TokenizerFile file = parse_tiktoken_ranks(rank_lines({"ab", "bc", "abc"}), "x.tiktoken", SplitKind::cl100k);
  EXPECT_EQ(file.kind, TokenizerKind::bpe);
  EXPECT_EQ(file.split, SplitKind::cl100k);
  EXPECT_TRUE(file.ignore_merges);
  EXPECT_EQ(file.vocabulary.tokens.size(), 260u);
  EXPECT_EQ(file.vocabulary.tokens[258], "abc");
  EXPECT_EQ(file.vocabulary.special, std::vector<int32_t>{259});
  std::vector<std::array<int32_t, 3>> merges;
  for (const BpeMerge& merge : file.vocabulary.merges) merges.push_back({merge.left, merge.right, merge.result});
  EXPECT_EQ(merges, (std::vector<std::array<int32_t, 3>>{{'a', 'b', 256}, {'b', 'c', 257}, {'a', 257, 258}, {256, 'c', 258}}));
  EXPECT_EQ(parse_json_text(tokenizer_json_text(file)).vocabulary.merges.size(), 4u);
}

TEST(TiktokenRanks, BadFilesAreRefused) {
  const auto refused_ranks = [](std::string_view words, const std::string& text) {
    expect_error(3, words, [&] { parse_tiktoken_ranks(text, "x.tiktoken", SplitKind::gpt2); });
  };
  const std::string good = rank_lines({"ab"});
  refused_ranks("x.tiktoken: line 258: need a token in base64, a space and its rank (found 'YWI=')", good + "YWI=\n");
  refused_ranks("line 258: not base64: 'YW*='", good + "YW*= 257\n");
  refused_ranks("line 258: not base64: 'YWJ='", good + "YWJ= 257\n");
  refused_ranks("line 258: not base64: ''", good + " 257\n");
  refused_ranks("line 258: not base64: 'YWI'", good + "YWI 257\n");
  refused_ranks("line 258: the rank must be an integer from 0 to 999999 (found -1)", good + "YWJj -1\n");
  refused_ranks("line 258: need a token", good + "YWJj 1.5\n");
  refused_ranks("line 258: the rank must be", good + "YWJj 2147483648\n");
  refused_ranks("line 258: rank 7 is used by", good + "YWJj 7\n");
  refused_ranks("no token for id 257 (ranks go up to 258)", good + "YWJj 258\n");
  refused_ranks("token 'ab' has the ranks 256 and 257", good + "YWI= 257\n");
  refused_ranks("no token for byte 0", "IQ== 0\n");
  refused_ranks("line 258: token longer than 256 bytes", good + base64_of(std::string(257, 'x')) + " 257\n");
  refused_ranks("holds no tokens", "\n\n");
  refused_ranks("looks like gzip", "\x1f\x8b\x08");
}

}  // namespace
}  // namespace aot
