// SPDX-License-Identifier: Apache-2.0
#include "aot/data/token_dataset.h"

#include <set>

#include <gtest/gtest.h>

#include "aot/data/meta.h"
#include "aot/io/sha256.h"
#include "tests/support/files.h"

namespace aot {
namespace {

template <class Token>
std::string packed(const std::vector<Token>& tokens) {
  return std::string(reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof(Token));
}

std::vector<int64_t> read_all(const TokenFile& file) {
  std::vector<int64_t> tokens(static_cast<size_t>(file.tokens()));
  file.read(0, file.tokens(), tokens.data());
  return tokens;
}

TEST(TokenFile, ReadsBothWidths) {
  const TestFolder folder;
  const TokenFile narrow(folder.write("a.bin", packed<uint16_t>({1, 65535, 3})), 2, 65536);
  EXPECT_EQ(read_all(narrow), (std::vector<int64_t>{1, 65535, 3}));
  const TokenFile wide(folder.write("b.bin", packed<uint32_t>({1, 70000, 3, 4})), 4, 70001);
  EXPECT_EQ(read_all(wide), (std::vector<int64_t>{1, 70000, 3, 4}));
  int64_t one = 0;
  wide.read(1, 1, &one);
  EXPECT_EQ(one, 70000);
  wide.read(4, 0, &one);
}

TEST(TokenFile, RefusesWhatIsNoTokenFile) {
  const TestFolder folder;
  expect_error(3, "empty file", [&] { TokenFile(folder.write("a.bin", ""), 2, 10); });
  expect_error(3, "not a whole number of tokens", [&] { TokenFile(folder.write("b.bin", "abc"), 2, 10); });
  expect_error(3, "no such file", [&] { TokenFile(folder.path("none.bin"), 2, 10); });
  expect_error(3, "not a regular file", [&] { TokenFile(folder.path(), 2, 10); });
}

TEST(TokenFile, NamesTheFirstIdOutsideTheVocabulary) {
  const TestFolder folder;
  std::vector<uint16_t> tokens(1'000'000, 5);
  tokens[999'999] = 10;
  const TokenFile file(folder.write("a.bin", packed(tokens)), 2, 10);
  expect_error(3, "token 999999: id 10 is outside the vocabulary of 10", [&] { file.check_all(); });
  expect_error(3, "need tokens 999999 to 1000001", [&] {
    int64_t two[2];
    file.read(999'999, 2, two);
  });
  const TokenFile wide(folder.write("b.bin", packed<uint32_t>({1, 0x80000000u})), 4, 10);
  expect_error(3, "token 1: id 2147483648", [&] { wide.check_all(); });
}

TEST(TokenFile, NoticesThirtyTwoBitTokensReadAsSixteen) {
  const TestFolder folder;
  const TokenFile wrong(folder.write("a.bin", packed(std::vector<uint32_t>(100, 7))), 2, 10);
  expect_error(3, "every second token is 0: u32?", [&] { wrong.check_all(); });
  const TokenFile zeros(folder.write("b.bin", packed(std::vector<uint16_t>(100, 0))), 2, 10);
  zeros.check_all();
}

TEST(WindowStart, DependsOnItsArgumentsAloneAndCoversTheFile) {
  std::set<int64_t> starts;
  for (int64_t step = 0; step < 200; ++step)
    for (int64_t row = 0; row < 4; ++row) {
      const int64_t start = window_start(1, step, row, 20, 10);
      EXPECT_EQ(start, window_start(1, step, row, 20, 10));
      EXPECT_GE(start, 0);
      EXPECT_LE(start, 10);
      starts.insert(start);
    }
  EXPECT_EQ(starts.size(), 11u) << "the last window is one of them";
  EXPECT_EQ(window_start(1, 5, 5, 10, 10), 0) << "exactly one window";
}

class PreparedFolder : public testing::Test {
 protected:
  /// 4 tokens to train on, 2 to validate on, a tokenizer of 3 characters.
  PreparedFolder() {
    const std::string tokenizer = make_char_tokenizer({U'a', U'b', U'c'})->to_json();
    folder_.write("tokenizer.json", tokenizer);
    meta_.tokenizer = "char";
    meta_.tokenizer_sha256 = sha256_hex(tokenizer);
    meta_.vocab_size = 3;
    meta_.train = split("train.bin", {0, 1, 2, 0});
    meta_.val = split("val.bin", {2, 1});
    meta_.sources = {{"x\n.txt", 6}};
    meta_.source_files = 1;
    write_meta();
  }
  SplitMeta split(const std::string& name, const std::vector<uint16_t>& tokens) {
    const std::string bytes = packed(tokens);
    folder_.write(name, bytes);
    return {static_cast<int64_t>(tokens.size()), static_cast<int64_t>(tokens.size()), sha256_hex(bytes)};
  }
  void write_meta() { folder_.write("meta.json", dataset_meta_text(meta_)); }

  TestFolder folder_;
  DatasetMeta meta_;
};

TEST_F(PreparedFolder, OpensWithItsTokenizer) {
  const TextDataset data = open_text_dataset(folder_.path());
  EXPECT_EQ(data.vocab_size, 3);
  EXPECT_EQ(read_all(*data.train), (std::vector<int64_t>{0, 1, 2, 0}));
  EXPECT_EQ(read_all(*data.val), (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(data.train_sha256, meta_.train.sha256);
  EXPECT_EQ(data.tokenizer->decode({2, 1}), "cb");
  data.train->check_all();
}

TEST_F(PreparedFolder, OpensWithoutValidationSplit) {
  meta_.val.reset();
  write_meta();
  EXPECT_EQ(open_text_dataset(folder_.path()).val, nullptr);
}

TEST_F(PreparedFolder, OneBinOfItIsReadAsMetaJsonSays) {
  const TextDataset data = open_text_dataset(folder_.path("val.bin"));
  EXPECT_EQ(data.tokenizer->kind(), "char");
  EXPECT_EQ(read_all(*data.train), (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(read_all(*data.val), (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(data.train_sha256, meta_.val->sha256);
  EXPECT_EQ(read_all(*open_text_dataset(folder_.path("train.bin")).val), (std::vector<int64_t>{0, 1, 2, 0}));
  meta_.val.reset();
  write_meta();
  expect_error(3, "knows no val.bin", [&] { open_text_dataset(folder_.path("val.bin")); });
}

TEST_F(PreparedFolder, RefusesFilesThatAreNotThoseOfMetaJson) {
  folder_.write("val.bin", packed<uint16_t>({2, 1, 0}));
  expect_error(3, "meta.json says 2 tokens, file has 3", [&] { open_text_dataset(folder_.path()); });
  folder_.write("val.bin", packed<uint16_t>({2, 2}));
  expect_error(3, "val.bin: digest mismatch", [&] { open_text_dataset(folder_.path()).val->check_all(); });
  folder_.write("tokenizer.json", make_char_tokenizer({U'x', U'y', U'z'})->to_json());
  expect_error(3, "tokenizer.json: digest mismatch", [&] { open_text_dataset(folder_.path()); });
}

TEST_F(PreparedFolder, RefusesAnotherTokenizer) {
  expect_error(3, "another tokenizer", [&] { open_text_dataset(folder_.path(), "byte"); });
  EXPECT_EQ(open_text_dataset(folder_.path(), folder_.path("tokenizer.json")).vocab_size, 3);
}

TEST_F(PreparedFolder, RefusesDamagedMeta) {
  const auto with = [&](const std::string& text) {
    folder_.write("meta.json", text);
    return [&] { open_text_dataset(folder_.path()); };
  };
  expect_error(3, "not valid JSON", with("{"));
  expect_error(3, "empty file", with(""));
  expect_error(3, "key 'format'", with("{}"));
  expect_error(3, "newer than this program", with("{\"format\":2}"));
  meta_.train.tokens = -1;
  expect_error(3, "key 'tokens'", with(dataset_meta_text(meta_)));
}

TEST(BareDataset, NanoGptsFolderNeedsATokenizerOrAVocabulary) {
  const TestFolder folder;
  folder.write("train.bin", packed<uint16_t>({1, 2, 3}));
  expect_error(2, "--tokenizer or --vocab-size", [&] { open_text_dataset(folder.path()); });
  const TextDataset sized = open_text_dataset(folder.path(), "", 4);
  EXPECT_EQ(sized.tokenizer, nullptr);
  EXPECT_EQ(sized.val, nullptr);
  EXPECT_EQ(sized.train_sha256, sha256_hex(packed<uint16_t>({1, 2, 3})));
  folder.write("val.bin", packed<uint16_t>({9}));
  const TextDataset bytes = open_text_dataset(folder.path(), "byte");
  EXPECT_EQ(bytes.vocab_size, 256);
  EXPECT_EQ(read_all(*bytes.val), (std::vector<int64_t>{9}));
}

TEST(BareDataset, OneFileIsBothSplits) {
  const TestFolder folder;
  const std::string path = folder.write("x.bin", packed<uint16_t>({1, 2, 3}));
  const TextDataset data = open_text_dataset(path, "byte", 50);
  EXPECT_EQ(data.vocab_size, 256) << "the tokenizer's, not the one given";
  EXPECT_EQ(read_all(*data.train), read_all(*data.val));
}

TEST(BareDataset, AFolderWithoutTokensIsRefused) {
  const TestFolder folder;
  expect_error(3, "train.bin", [&] { open_text_dataset(folder.path(), "byte"); });
  expect_error(3, "no such file", [&] { open_text_dataset(folder.path("none"), "byte"); });
}

}  // namespace
}  // namespace aot
