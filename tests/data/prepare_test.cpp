// SPDX-License-Identifier: Apache-2.0
#include "aot/data/prepare.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "aot/data/text_reader.h"
#include "aot/data/token_dataset.h"
#include "tests/support/files.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

std::string text_of(const TextDataset& data, const TokenFile& file) {
  std::vector<int64_t> tokens(static_cast<size_t>(file.tokens()));
  file.read(0, file.tokens(), tokens.data());
  return data.tokenizer->decode({tokens.begin(), tokens.end()});
}

class Prepare : public testing::Test {
 protected:
  PrepareResult prepare(std::vector<std::string> inputs, const std::string& tokenizer = "char", double val = 0.1) {
    PrepareOptions options;
    options.inputs = std::move(inputs);
    options.tokenizer = tokenizer;
    options.val = val;
    options.out = out();
    return prepare_text(options).value();
  }
  void expect_refused(int code, std::string_view words, const std::vector<std::string>& inputs, const std::string& tokenizer = "char",
                      double val = 0.1) {
    expect_error(code, words, [&] { prepare(inputs, tokenizer, val); });
    EXPECT_FALSE(fs::exists(out())) << "nothing is written";
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_.path()))
      EXPECT_NE(entry.path().filename().string().rfind(".tmp-", 0), 0u) << entry.path();
  }
  [[nodiscard]] std::string out() const { return folder_.path("out"); }

  TestFolder folder_;
};

TEST_F(Prepare, TheLastTenthOfTheCharactersIsForValidation) {
  const PrepareResult result = prepare({folder_.write("a.txt", "ééééééééé€é€é€é€é€é€")});
  const TextDataset data = open_text_dataset(out());
  EXPECT_EQ(data.vocab_size, 2);
  EXPECT_EQ(text_of(data, *data.train), "ééééééééé€é€é€é€é€");
  EXPECT_EQ(text_of(data, *data.val), "é€");
  EXPECT_EQ(result.meta.train.text_bytes, 41);
  EXPECT_EQ(result.meta.val->text_bytes, 5);
  data.train->check_all();
  data.val->check_all();
}

TEST_F(Prepare, WithoutValidationThereIsNoSuchFile) {
  prepare({folder_.write("a.txt", "x")}, "byte", 0);
  EXPECT_EQ(open_text_dataset(out()).val, nullptr);
  EXPECT_FALSE(fs::exists(out() + "/val.bin"));
}

TEST_F(Prepare, FilesOfAFolderComeInOrderWithALineFeedBetweenThem) {
  fs::create_directories(folder_.path("in/b/.git"));
  folder_.write("in/c.txt", "three");
  folder_.write("in/b/x\ny.txt", "two");
  folder_.write("in/a", "one");
  folder_.write("in/b/.git/config", "hidden");
  folder_.write("in/picture", std::string_view("\x89PNG\r\n", 6));
  folder_.write("in/nul", std::string_view("a\0b", 3));
  folder_.write("in/late", "Ω and then \xff");
  folder_.write("in/empty", "");
  fs::create_directory_symlink(folder_.path("in"), folder_.path("in/loop"));
  const PrepareResult result = prepare({folder_.path("in"), folder_.write("last", "end")}, "char", 0);
  const TextDataset data = open_text_dataset(out());
  EXPECT_EQ(text_of(data, *data.train), "one\ntwo\nthree\nend");
  EXPECT_EQ(result.skipped, 4);
  EXPECT_EQ(result.meta.source_files, 4);
  expect_error(3, "U+03A9", [&] { (void)data.tokenizer->encode("Ω"); });  // what a skipped file holds is not in the vocabulary
}

TEST_F(Prepare, BytesSurviveAlsoWhenTheyAreNoText) {
  std::string bytes;
  for (int i = 0; i < 3000; ++i) bytes += static_cast<char>(i * 7);
  prepare({folder_.write("a", bytes)}, "byte", 0);
  const TextDataset data = open_text_dataset(out());
  EXPECT_EQ(text_of(data, *data.train), bytes);
}

TEST_F(Prepare, CharactersAcrossThePiecesOfALargeFileStayWhole) {
  std::string text = "a";
  while (text.size() < 2 * TextReader::kPieceBytes + 5) text += "€";
  prepare({folder_.write("a", text)}, "char", 0);
  const TextDataset data = open_text_dataset(out());
  EXPECT_EQ(data.vocab_size, 2);
  EXPECT_TRUE(text_of(data, *data.train) == text);
}

TEST_F(Prepare, APlaceInALargeFileIsCountedOverItsPieces) {
  std::string text(TextReader::kPieceBytes + 10, 'a');
  text[2] = text[TextReader::kPieceBytes - 1] = '\n';
  expect_refused(3, "line 3, byte 11: not valid UTF-8", {folder_.write("a", text + "\xff")});
}

TEST_F(Prepare, TheTokenizerOfOtherTextMayBeUsed) {
  prepare({folder_.write("a", "abc\n")}, "char", 0);
  const std::string tokenizer = folder_.path("tokenizer.json");
  fs::copy_file(out() + "/tokenizer.json", tokenizer);
  fs::remove_all(out());
  expect_refused(3, "line 2, column 2: U+20AC is not in the vocabulary", {folder_.write("b", "ab\nc€")}, tokenizer);
  prepare({folder_.write("b", "ba")}, tokenizer, 0);
  EXPECT_EQ(open_text_dataset(out()).vocab_size, 4);
}

TEST_F(Prepare, RefusesWhatIsNoText) {
  expect_refused(3, "no such file", {folder_.path("none")});
  expect_refused(3, "empty file", {folder_.write("a", "")});
  expect_refused(3, "looks like UTF-16",
                 {folder_.write("a", std::string_view("\xff\xfe"
                                                      "a\0",
                                                      4))});
  expect_refused(3, "looks like UTF-16",
                 {folder_.write("a", std::string_view("\xff\xfe"
                                                      "a\0",
                                                      4))},
                 "byte");
  expect_refused(3, "looks like gzip", {folder_.write("a", "\x1f\x8b\x08")});
  expect_refused(3, "looks like gzip", {folder_.write("a", "\x1f\x8b\x08")}, "byte");
  for (const char* bad : {"a\nb\n\xc0\x80", "a\nb\n\xed\xa0\x80", "a\nb\n\xe2\x82"})
    expect_refused(3, "line 3, byte 1: not valid UTF-8", {folder_.write("a", bad)});
  fs::create_directory(folder_.path("nothing"));
  expect_refused(3, "need at least one", {folder_.path("nothing")});
  expect_refused(3, "need at least", {folder_.write("a", "x")});
}

TEST_F(Prepare, EachJsonLineIsADocument) {
  fs::create_directories(folder_.path("in"));
  const std::string large(5u << 20, 'x');  // longer than what is read at once
  folder_.write("in/a.jsonl",
                "{\"text\":\"one\",\"id\":1}\n\n{\"id\":2,\"text\":\"t\\u0077o\"}\r\n{\"text\":\"" + large + "\"}\n{\"text\":\"\"}");
  folder_.write("in/b.txt", "not of that kind");
  folder_.write("in/c.jsonl", "{\"text\":\"end\"}");
  PrepareOptions options;
  options.inputs = {folder_.path("in")};
  options.field = "text";
  options.val = 0;
  options.out = out();
  options.threads = 3;
  for (const char* tokenizer : {"byte", "char", "bpe"}) {
    options.tokenizer = tokenizer;
    options.vocab = 300;
    const PrepareResult result = prepare_text(options).value();
    const TextDataset data = open_text_dataset(out());
    const bool has_end = data.tokenizer->end_of_text() >= 0;  // it stands for no text
    const std::string between = has_end ? "" : "\n";
    EXPECT_EQ(text_of(data, *data.train), "one" + between + "two" + between + large + between + between + "end") << tokenizer;
    EXPECT_EQ(result.meta.source_files, 2);
    fs::remove_all(out());
  }
}

TEST_F(Prepare, TheNumberOfThreadsChangesNothing) {
  std::string text;
  for (int i = 0; text.size() < 6'000'000; ++i) text += "line " + std::to_string(i * 7919) + " of the text, they're\n";
  PrepareOptions options;
  options.inputs = {folder_.write("a", text)};
  options.tokenizer = "bpe";
  options.vocab = 500;
  std::string digests[2];
  for (std::string& digest : digests) {
    options.out = folder_.path(&digest == digests ? "one" : "three");
    options.threads = &digest == digests ? 1 : 3;
    digest = prepare_text(options).value().meta.train.sha256;
  }
  EXPECT_EQ(digests[0], digests[1]);
  EXPECT_EQ(folder_.read("one/tokenizer.json"), folder_.read("three/tokenizer.json"));
}

TEST_F(Prepare, RefusesOptionsThatCannotBe) {
  const std::string text = folder_.write("a", "some text");
  expect_refused(2, "--val", {text}, "char", 1);
  expect_refused(2, "needs one of the patterns gpt2, cl100k", {text}, "tiktoken:" + text);
  expect_refused(3, "no such file", {text}, folder_.path("none.json"));
}

TEST_F(Prepare, NeverOverwrites) {
  const std::string text = folder_.write("a", "some text");
  fs::create_directory(out());
  prepare({text});  // an empty folder is taken
  const std::string before = folder_.read("out/meta.json");
  expect_error(2, "never overwritten", [&] { prepare({text}, "byte"); });
  EXPECT_EQ(folder_.read("out/meta.json"), before);
  fs::remove_all(out());
  folder_.write("out", "a file");
  expect_error(2, "never overwritten", [&] { prepare({text}, "byte"); });
}

}  // namespace
}  // namespace aot
