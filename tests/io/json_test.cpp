// SPDX-License-Identifier: Apache-2.0
#include "aot/io/json.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "aot/io/json_reader.h"
#include "tests/support/files.h"

namespace aot {
namespace {

Json parse(std::string_view text) {
  return parse_json(text, "x.json");
}

void refused(std::string_view words, std::string_view text) {
  expect_error(3, words, [&] { parse(text); });
}

TEST(Json, ReadsEveryKindOfValue) {
  const Json json = parse(" {\"a\": [1, -2.5e1, true, false, null, \"\\u00e9\\ud83d\\ude00\\n\\/\"], \"\": {}} \n");
  EXPECT_EQ(json["a"][0], 1);
  EXPECT_EQ(json["a"][1], -25.0);
  EXPECT_EQ(json["a"][5], "\xc3\xa9\xf0\x9f\x98\x80\n/");
  EXPECT_TRUE(json[""].is_object());
  EXPECT_EQ(dump_json(json), "{\"a\":[1,-25.0,true,false,null,\"\xc3\xa9\xf0\x9f\x98\x80\\n/\"],\"\":{}}");
}

TEST(Json, AgreesWithNlohmannOnWhatIsJson) {
  for (const char* text :
       {"1",      "-0",      "01",      "1.",       ".5",        "1e",          "1e5",         "1E+05",       "-",
        "--1",    "+1",      "\"a",     "\"\\x\"",  "\"\\u12\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\ud800\"",
        "\"\t\"", "[",       "[1",      "[1,",      "[1,]",      "[,1]",        "[1 2]",       "[]",          "[[]]",
        "{",      "{\"a\"",  "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}",  "{a:1}",       "{\"a\" 1}",   "{1:1}",
        "{}",     "{}{}",    "nul",     "nulll",    "tru",       "true",        "True",        "NaN",         "",
        " ",      "// c\n1", "[1]x",    "]",        "}",         "{]",          "[}",          "\"\x7f\""}) {
    const std::string line = error_of([&] { parse(text); });
    EXPECT_EQ(line == "nothing", nlohmann::json::accept(text)) << text << " " << line;
  }
}

TEST(Json, RefusalsNameTheByte) {
  refused("x.json: not valid JSON at byte 6: expected a value", "{\"a\": }");
  refused("not valid JSON at byte 4: the text ends early", "{\"a\"");
  refused("not valid UTF-8 at byte 2", "[\"\xff\"]");
  refused("byte order mark", "\xef\xbb\xbf{}");
  refused("looks like gzip", "\x1f\x8b\x08\x00");
  refused("lone surrogate", "\"\\ud800x\"");
  refused("number out of range: 1e999", "1e999");
  refused("duplicate key 'a' in the object that starts at byte 1", "[{\"a\":1,\"b\":2,\"\\u0061\":3}]");
}

TEST(Json, SizeDepthAndNumberOfValuesAreBounded) {
  refused("nested deeper than 64", std::string(100'000, '['));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  refused("nested deeper than 64", objects);
  EXPECT_NO_THROW(parse(std::string(64, '[') + std::string(64, ']')));
  refused("larger than 16 MiB", std::string((16u << 20) + 1, ' '));
  std::string many = "[";
  for (int i = 0; i < 250'000; ++i) many += "[],";
  refused("more than 200000 values", many + "1]");
}

TEST(Json, IntegersKeepSignAndRange) {
  const Json json = parse(
      "{\"low\":-9223372036854775808,\"high\":9223372036854775807,\"over\":9223372036854775808,\"top\":18446744073709551615,"
      "\"far\":18446744073709551616,\"half\":1.5,\"text\":\"7\"}");
  EXPECT_EQ(json_integer(json, "low", "x", INT64_MIN, INT64_MAX), INT64_MIN);
  EXPECT_EQ(json_integer(json, "high", "x", INT64_MIN, INT64_MAX), INT64_MAX);
  EXPECT_EQ(json["top"].get<uint64_t>(), UINT64_MAX);
  expect_error(3, "key 'over': need at most 9223372036854775807 (found 9223372036854775808)",
               [&] { json_integer(json, "over", "x", INT64_MIN, INT64_MAX); });
  expect_error(3, "key 'far': need an integer", [&] { json_integer(json, "far", "x", INT64_MIN, INT64_MAX); });
  expect_error(3, "key 'half': need an integer (found 1.5)", [&] { json_integer(json, "half", "x", 0, 9); });
  expect_error(3, "key 'text': need an integer (found \"7\")", [&] { json_integer(json, "text", "x", 0, 9); });
  expect_error(3, "key 'low': need at least 0", [&] { json_integer(json, "low", "x", 0, 9); });
  expect_error(3, "missing key 'absent'", [&] { json_integer(json, "absent", "x", 0, 9); });
  expect_error(3, "need a JSON object (found [1])", [&] { json_text(parse("[1]"), "a", "x"); });
}

TEST(Json, NonFiniteNumbersAndInvalidTextCanBeWritten) {
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(dump_json({{"a", {1.5, inf, -inf, std::nan("")}}, {"b", "\xff"}}),
            "{\"a\":[1.5,\"inf\",\"-inf\",\"nan\"],\"b\":\"\xef\xbf\xbd\"}");
}

TEST(JsonReader, WalksAndSkips) {
  const std::string text = "{\"skip\": {\"x\": [[1, {}], \"]}\"]}, \"n\": [ ], \"v\": [1, 2]}";
  JsonReader json(text, "x.json");
  json.enter_object();
  std::string key;
  ASSERT_TRUE(json.next_member(key));
  json.skip();
  ASSERT_TRUE(json.next_member(key));
  EXPECT_EQ(key, "n");
  json.enter_array();
  EXPECT_FALSE(json.next_item());
  ASSERT_TRUE(json.next_member(key));
  json.enter_array();
  ASSERT_TRUE(json.next_item());
  EXPECT_EQ(json.number(), "1");
  ASSERT_TRUE(json.next_item());
  EXPECT_EQ(json.number(), "2");
  EXPECT_FALSE(json.next_item());
  EXPECT_FALSE(json.next_member(key));
  EXPECT_NO_THROW(json.finish());
}

TEST(JsonReader, DepthIsCheckedBeforeAnythingElse) {
  const std::string path = "x.json";
  for (const std::string start : {"", "{\"a\":", "1 ", "[\"\\\"[\", \"]\""})
    expect_error(3, "nested deeper than 64", [&] { JsonReader(start + std::string(100'000, '['), path); });
}

}  // namespace
}  // namespace aot
