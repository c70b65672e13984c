// SPDX-License-Identifier: Apache-2.0
#include "aot/data/benchmark_files.h"

#include <gtest/gtest.h>

#include "tests/support/files.h"

namespace aot {
namespace {

const std::string kPath = "file.txt";

std::vector<std::string> texts_of(const std::vector<TextItem>& items) {
  std::vector<std::string> out;
  for (const TextItem& item : items) out.push_back(item.text);
  return out;
}

std::string sentences(int count = 20) {
  std::string out;
  for (int i = 1; i <= count; ++i) out += str(i, " sentence ", i, " .\n");
  return out;
}

std::string question(const std::string& query = "the XXXXX sat .\tcat\t\tdog|cat|mat") {
  return sentences() + "21 " + query + "\n";
}

void expect_refused(std::string_view words, const std::string& bytes) {
  expect_error(3, words, [&] { static_cast<void>(parse_cloze(bytes, kPath)); });
}

TEST(BenchmarkFiles, LinesKeepTheirSpacesAndLoseTheirEnds) {
  EXPECT_EQ(texts_of(parse_lines(" no it was \n\n = Title = \r\nlast", kPath)),
            (std::vector<std::string>{" no it was ", "", " = Title = ", "last"}));
  EXPECT_EQ(parse_lines("a\n\nb\n", kPath).back().line, 3);
  expect_error(3, "file.txt: line 2, byte 3: not valid UTF-8", [] { static_cast<void>(parse_lines("a\nb \xff", kPath)); });
  expect_error(3, "looks like gzip", [] { static_cast<void>(parse_lines("\x1f\x8b\x08", kPath)); });
}

TEST(BenchmarkFiles, PassagesAreLinesOrJsonLines) {
  const Passages plain = parse_passages("in my palm .\n\nand { more\n", kPath);
  EXPECT_FALSE(plain.json);
  EXPECT_EQ(texts_of(plain.items), (std::vector<std::string>{"in my palm .", "and { more"}));
  EXPECT_EQ(plain.items[1].line, 3);
  const Passages json = parse_passages("{\"text\": \"a\\nb c\"}\n\n{\"id\": 1, \"text\": \"\\u201cd\\u201d e\"}\n", kPath);
  EXPECT_TRUE(json.json);
  EXPECT_EQ(texts_of(json.items), (std::vector<std::string>{"a\nb c", "“d” e"}));
  EXPECT_EQ(json.items[1].line, 3);
}

TEST(BenchmarkFiles, PassagesThatCannotBeAreNamedByLine) {
  const auto refused = [](std::string_view words, const std::string& bytes) {
    expect_error(3, words, [&] { static_cast<void>(parse_passages(bytes, kPath)); });
  };
  refused("line 2: no field 'text'", "{\"text\": \"a b\"}\n{\"txt\": \"a\"}\n");
  refused("line 2: field 'text' is a number", "{\"text\": \"a b\"}\n{\"text\": 1}\n");
  refused("line 2: not valid JSON at byte 7", "{\"text\": \"a b\"}\n{\"text\"\n");
  refused("line 1: an empty passage", "{\"text\": \" \\n\"}\n");
  refused("holds no passages", " \n\n");
}

TEST(BenchmarkFiles, AQuestionHasTwentySentencesAQueryAndOptions) {
  for (const std::string end : {"", "\n", "\n\n"}) {
    const std::string bytes = question() + "\n" + question("XXXXX said XXXXX !\tmat\t\tmat|the cow") + end;
    const std::vector<ClozeQuestion> questions = parse_cloze(bytes, kPath);
    ASSERT_EQ(questions.size(), 2u);
    ASSERT_EQ(questions[0].sentences.size(), 20u);
    EXPECT_EQ(questions[0].sentences[9], "sentence 10 .");
    EXPECT_EQ(questions[0].query, "the XXXXX sat .");
    EXPECT_EQ(questions[0].answer, "cat");
    EXPECT_EQ(questions[0].options, (std::vector<std::string>{"dog", "cat", "mat"}));
    EXPECT_EQ(questions[0].right_option(), 1u);
    EXPECT_EQ(questions[0].line, 21);
    EXPECT_EQ(questions[1].line, 43);
    EXPECT_EQ(questions[1].options[1], "the cow");
  }
  std::string windows = question();
  for (size_t at = 0; (at = windows.find('\n', at)) != std::string::npos; at += 2) windows.insert(at, "\r");
  EXPECT_EQ(parse_cloze(windows, kPath)[0].options.back(), "mat");
}

TEST(BenchmarkFiles, QuestionsThatCannotBeAreNamedByLine) {
  expect_refused("line 22: need line 1 of a question", question() + "2 sentence .\n");
  expect_refused("line 5: need line 5 of a question, which begins with its number (found a blank line)", sentences(4) + "\n" + question());
  expect_refused("line 3: need line 3 of a question, which begins with its number (found '4 x')", sentences(2) + "4 x\n");
  expect_refused("(found the end of the file)", question() + "\n" + sentences(7));
  expect_refused("line 21: need 4 fields", question("the XXXXX sat .\tcat"));
  expect_refused("line 21: need 4 fields", question("the XXXXX sat .\tcat\tx\tcat|dog"));
  expect_refused("line 21: no blank XXXXX", question("the cat sat .\tcat\t\tcat|dog"));
  expect_refused("line 21: an empty option", question("the XXXXX sat .\tcat\t\tcat||dog"));
  expect_refused("line 21: need options", question("the XXXXX sat .\tcat\t\tcat"));
  expect_refused("line 21: answer 'cow' is not among the options", question("the XXXXX sat .\tcow\t\tcat|dog"));
  expect_refused("holds no questions", "\n \n");
  expect_refused("line 1, byte 3: not valid UTF-8", "1 \xc3(\n");
}

}  // namespace
}  // namespace aot
