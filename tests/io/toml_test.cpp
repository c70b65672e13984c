// SPDX-License-Identifier: Apache-2.0
#include "aot/io/toml.h"

#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "tests/support/files.h"

namespace aot {
namespace {

std::string repeated(const std::string& piece, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += piece;
  return out;
}

TEST(Toml, EntriesKeepTypeValueAndLineInTheOrderOfTheFile) {
  const auto entries =
      parse_toml("# a run\nsteps = 2_000\nlr = 3e-4\n\nresume = true\nname = \"t\\u00e9\"\n[model]\nwidth = 0x40\n", "run.toml");
  ASSERT_EQ(entries.size(), 5u);
  EXPECT_EQ(entries[0].key, "steps");
  EXPECT_EQ(std::get<int64_t>(entries[0].value), 2000);
  EXPECT_EQ(entries[0].line, 2);
  EXPECT_EQ(std::get<double>(entries[1].value), 3e-4);
  EXPECT_EQ(std::get<bool>(entries[2].value), true);
  EXPECT_EQ(std::get<std::string>(entries[3].value), "t\xc3\xa9");
  EXPECT_EQ(entries[4].key, "model.width");
  EXPECT_EQ(std::get<int64_t>(entries[4].value), 64);
  EXPECT_EQ(entries[4].line, 8);
}

TEST(Toml, RefusalsAreUsageErrorsThatNameThePlace) {
  const auto refused = [](std::string_view words, std::string_view text) { expect_error(2, words, [&] { parse_toml(text, "run.toml"); }); };
  refused("run.toml: line 3, column", "a = 1\nb = 2\nc = = 3\n");
  refused("line 2, column 3: key 'a' already set at line 1", "a = 1\na = 2\n");
  refused("already set at line 3", "[x]\nb = 1\na = 1\nc = 2\na = 2\n");
  refused("line 1: key 'a': need a text, a number, true or false (found an array)", "a = [1]\n");
  refused("line 2: key 'x.d'", "[x]\nd = 2020-01-01\n");
  refused("line 2: holds a NUL byte", std::string_view("a = 1\nb\0c", 9));
  refused("line 2: not valid UTF-8", "a = 1\nb = \"\xff\"\n");
  refused("larger than 1 MiB", std::string(2u << 20, '#'));
  refused("looks like gzip", "\x1f\x8b\x08\x00");
  refused("line 1, column 1", "{\"a\": 1}");
  refused("line 2", "# YAML\na: 1\nb: 2\n");
  refused("line 1", "a = \"unterminated");
}

TEST(Toml, SpellsValuesAsTheStandardSays) {
  const auto value = [](const std::string& text) { return parse_toml("x = " + text, "run.toml").at(0).value; };
  EXPECT_EQ(value("+1_000"), Value(int64_t{1000}));
  EXPECT_EQ(value("-0"), Value(int64_t{0}));
  EXPECT_EQ(value("0xDEAD_beef"), Value(int64_t{0xdeadbeef}));
  EXPECT_EQ(value("0o17"), Value(int64_t{15}));
  EXPECT_EQ(value("0b101"), Value(int64_t{5}));
  EXPECT_EQ(value("-9223372036854775808"), Value(INT64_MIN));
  EXPECT_EQ(value("6.626e-34"), Value(6.626e-34));
  EXPECT_EQ(value("1E+0_3"), Value(1000.0));
  EXPECT_EQ(value("0e5"), Value(0.0));
  EXPECT_EQ(value("-inf"), Value(-std::numeric_limits<double>::infinity()));
  EXPECT_EQ(value("'a\\b\"'"), Value(std::string("a\\b\"")));
  EXPECT_EQ(value("\"\\U0001F600\\t\\\"\""), Value(std::string("\xf0\x9f\x98\x80\t\"")));
  EXPECT_EQ(value("\"\"\"\na \\\n   \n  b\r\nc\"\"\"\"\""), Value(std::string("a b\nc\"\"")));
  EXPECT_EQ(value("'''\na\\'''' # x"), Value(std::string("a\\'")));
  for (const char* bad : {"01",
                          "1_",
                          "_1",
                          "1__0",
                          "+0x1",
                          "0x",
                          "0xg",
                          "0b2",
                          "0o8",
                          "1.",
                          ".5",
                          "1.e5",
                          "1e",
                          "1e5.0",
                          "9223372036854775808",
                          "1e999",
                          "+",
                          "-",
                          "infinity",
                          "True",
                          "yes",
                          "word",
                          "'a",
                          "\"a",
                          "\"\\x\"",
                          "\"\\u12\"",
                          "\"\\ud800\"",
                          "\"\\U00110000\"",
                          "\"\"\"a",
                          "1 2",
                          "1 = 2",
                          "\"a\"b",
                          "",
                          "\x01",
                          "\"\x01\"",
                          "[",
                          "{}",
                          "1979-05-27",
                          "07:32:00"})
    EXPECT_EQ(error_of([&] { value(bad); }).substr(0, 2), "2 ") << bad;
}

TEST(Toml, KeysAndTablesAreSetOnce) {
  const auto refused = [](std::string_view words, std::string_view text) { expect_error(2, words, [&] { parse_toml(text, "run.toml"); }); };
  EXPECT_EQ(parse_toml("a.b = 1\na.'c d' = 2\n[ t . u ]\n\"k\" = 3\n[t]\nv = 4\n", "run.toml").at(2).key, "t.u.k");
  refused("table 't' already set at line 1", "[t]\n[u]\n[t]\n");
  refused("key 'a' already set at line 1", "a.b = 1\na = 2\n");
  refused("'a' already set at line 1", "a = 1\na.b = 2\n");
  refused("'a' already set at line 1", "a = 1\n[a]\n");
  for (const char* bad : {"= 1", "a", "a b = 1", "a. = 1", ".a = 1", "[a", "[]", "[a]]", "[a] b = 1", "[[a]]", "[a.]", "a = 1 b = 2",
                          "\xc3\xa9 = 1", "a = 1\rb = 2", "# \x01", "\"\"\"a\"\"\" = 1", "[=\n[a%PDF[as]\n"})
    EXPECT_EQ(error_of([&] { parse_toml(bad, "run.toml"); }).substr(0, 2), "2 ") << bad;
}

TEST(Toml, DeepNestingOfEveryKindIsRefusedBeforeTheParserRecurses) {
  const auto deep = [](const std::string& text) { expect_error(2, "nested deeper than 64", [&] { parse_toml(text, "run.toml"); }); };
  deep("a = " + repeated("[", 100'000));
  deep("a = " + repeated("{a=", 100'000));
  deep(repeated("a.", 100'000) + "a = 1");
  deep(repeated("\"a\" . ", 100'000) + "a = 1");
  deep("[" + repeated("a.", 100'000) + "a]");
  deep("[[" + repeated("a.", 100'000) + "a]]");
  deep("a = {" + repeated("b.", 100'000) + "b = 1}");
  deep("s = '''x''''\na = " + repeated("[", 100'000));
  deep("s = \"\\\"\" # \"\na = " + repeated("[", 100'000));
}

TEST(Toml, BracketsAndDotsInsideTextsAndCommentsAreNotNesting) {
  const std::string many = repeated("[{.", 1000);
  EXPECT_EQ(parse_toml("a = \"" + many + "\" # " + many + "\nb = '''\n" + many + "'''\nc = 1.5\n", "run.toml").size(), 3u);
}

TEST(Toml, EveryValueReadsBackAsItself) {
  std::vector<Value> values = {true,
                               false,
                               int64_t{0},
                               std::numeric_limits<int64_t>::min(),
                               std::numeric_limits<int64_t>::max(),
                               0.1,
                               1.0,
                               -0.0,
                               1e300,
                               5e-324,
                               std::numeric_limits<double>::infinity(),
                               1e22,
                               std::string(),
                               std::string("a\"\\\b\n\r\t\x01\x7f \xe2\x82\xac # = [")};
  uint64_t bits = 1;
  for (int i = 0; i < 1000; ++i) {
    bits = bits * 6364136223846793005u + 1442695040888963407u;
    double number = 0;
    std::memcpy(&number, &bits, sizeof number);
    if (!std::isnan(number)) values.emplace_back(number);
  }
  for (const Value& value : values) {
    const auto entries = parse_toml("x = " + toml_text(value) + "\n", "run.toml");
    ASSERT_EQ(entries.size(), 1u);
    EXPECT_TRUE(entries[0].value == value) << toml_text(value);
    if (std::holds_alternative<double>(value)) {
      EXPECT_EQ(std::signbit(std::get<double>(entries[0].value)), std::signbit(std::get<double>(value)));
    }
  }
}

TEST(Toml, AFileIsRefusedUnreadWhenTooLarge) {
  const TestFolder folder;
  folder.write("big.toml", "");
  std::filesystem::resize_file(folder.path("big.toml"), 1ull << 40);
  expect_error(2, "larger than 1 MiB", [&] { read_toml(folder.path("big.toml")); });
  expect_error(3, "no such file", [&] { read_toml(folder.path("absent.toml")); });
  folder.write("ok.toml", "a = 1\n");
  EXPECT_EQ(read_toml(folder.path("ok.toml")).size(), 1u);
}

TEST(Toml, ValuesAreFoundByKeyAndType) {
  const std::vector<TomlEntry> entries = parse_toml("a = 1\nb = \"x\"\n", "t");
  EXPECT_EQ(value_of<int64_t>(entries, "a"), 1);
  EXPECT_EQ(value_of<std::string>(entries, "b"), "x");
  EXPECT_FALSE(value_of<std::string>(entries, "a"));
  EXPECT_FALSE(value_of<bool>(entries, "c"));
}

}  // namespace
}  // namespace aot
