// SPDX-License-Identifier: Apache-2.0
// No hostile file makes a parser work or allocate much beyond its size: refusals of 1 MB within 50 ms of processor time.
#include <algorithm>
#include <ctime>
#include <functional>

#include <gtest/gtest.h>

#include "aot/io/bpe_files.h"
#include "aot/io/json.h"
#include "aot/io/safetensors.h"
#include "aot/io/tokenizer_json.h"
#include "aot/io/toml.h"
#include "tests/support/files.h"

namespace aot {
namespace {

constexpr size_t kBytes = 1'000'000;
#ifdef __SANITIZE_ADDRESS__
constexpr double kMaxSeconds = 1;
#else
constexpr double kMaxSeconds = 0.05;
#endif

/// `piece(i)` for i = 0, 1, ... until a megabyte is full, between `start` and `end`.
std::string filled(const std::string& start, const std::function<std::string(size_t)>& piece, const std::string& end) {
  std::string text = start;
  for (size_t i = 0; text.size() + end.size() < kBytes - 64; ++i) text += piece(i);
  return text + end;
}

/// The best of three, since other programs run beside the tests.
void refused_in_time(const std::string& what, const std::function<void()>& parse) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const std::clock_t start = std::clock();
    EXPECT_NE(error_of(parse), "nothing") << what;
    best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  EXPECT_LT(best, kMaxSeconds) << what;
}

TEST(Cost, HostileJsonIsRefusedInTime) {
  const auto number = [](size_t i) { return std::to_string(i); };
  const auto refused = [](const char* what, const std::string& text) { refused_in_time(what, [&] { parse_json(text, "x.json"); }); };
  refused("deep", std::string(kBytes, '['));
  refused("many values", filled(
                             "[", [](size_t) { return "[],"; }, "x"));
  refused("many keys", filled(
                           "{", [&](size_t i) { return "\"" + number(i) + "\":1,"; }, "x"));
  refused("a key twice among many", filled(
                                        "{\"1\":1", [&](size_t i) { return ",\"" + number(i) + "\":1"; }, "}"));
  refused("a long text", "\"" + std::string(kBytes, 'a'));
  refused("escapes", filled(
                         "\"", [](size_t) { return "\\u00e9"; }, "x"));
  refused("a long number", std::string(kBytes, '9') + "x");
}

TEST(Cost, HostileTomlIsRefusedInTime) {
  const auto refused = [](const char* what, const std::string& text) { refused_in_time(what, [&] { parse_toml(text, "run.toml"); }); };
  refused("many keys", filled(
                           "", [](size_t i) { return "k" + std::to_string(i) + "=1\n"; }, "="));
  refused("many tables", filled(
                             "", [](size_t i) { return "[t" + std::to_string(i) + "]\n"; }, "="));
  refused("many long dotted keys",
          filled(
              "", [](size_t i) { return "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z." + std::to_string(i) + "=1\n"; }, "="));
  refused("deep", "a = " + std::string(kBytes, '['));
  refused("a long text", "a = \"" + std::string(kBytes, 'a'));
  refused("a long number", "a = " + std::string(kBytes, '9'));
}

TEST(Cost, HostileHeadersAreRefusedInTime) {
  const TestFolder folder;
  const auto refused = [&](const char* what, const std::string& header) {
    std::string length;
    for (int i = 0; i < 8; ++i) length += static_cast<char>(header.size() >> (8 * i));
    const std::string path = folder.write("m.safetensors", length + header);
    refused_in_time(what, [&] { SafetensorsFile{path}; });
  };
  const auto entry = [](size_t i) { return "\"" + std::to_string(i) + "\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"; };
  refused("many tensors", filled("{", entry, "x"));
  refused("much metadata", filled(
                               "{\"__metadata__\":{", [](size_t i) { return "\"" + std::to_string(i) + "\":\"\","; }, "x"));
  refused("a long shape", filled(
                              "{\"a\":{\"shape\":[", [](size_t) { return "1,"; }, "1]"));
}

TEST(Cost, HostileVocabulariesAreRefusedInTime) {
  const auto token = [](size_t i) { return "\"" + std::to_string(i) + "\":" + std::to_string(i) + ","; };
  const std::string many = filled("{", token, "\"x\":999999}");
  refused_in_time("a hole among many ids", [&] { parse_bpe_files(many, "encoder.json", "", "vocab.bpe"); });
  refused_in_time("far ids", [] { parse_bpe_files("{\"a\":999999}", "encoder.json", "", "vocab.bpe"); });
  const std::string merges = filled(
      "", [](size_t) { return "a b\n"; }, "");
  refused_in_time("many merges", [&] { parse_bpe_files("{\"a\":0,\"b\":1,\"ab\":2}", "encoder.json", merges, "vocab.bpe"); });
  const std::string nested = "{\"model\":{\"vocab\":" + many + "}}";
  refused_in_time("tokenizer.json", [&] { parse_tokenizer_json(nested, "tokenizer.json"); });
}

}  // namespace
}  // namespace aot
