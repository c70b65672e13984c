// SPDX-License-Identifier: Apache-2.0
#include "aot/io/safetensors.h"

#include <cstring>

#include <gtest/gtest.h>

#include "tests/support/files.h"

namespace aot {
namespace {

std::string little_endian(uint64_t value) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

/// A file with that header and that many data bytes.
std::string file_with(const std::string& header, size_t data_bytes) {
  return little_endian(header.size()) + header + std::string(data_bytes, 'd');
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

void refused(std::string_view words, const std::string& bytes) {
  const TestFolder folder;
  const std::string path = folder.write("model.safetensors", bytes);
  expect_error(3, words, [&] { SafetensorsFile{path}; });
}

void refused_header(std::string_view words, const std::string& header, size_t data_bytes = 16) {
  refused(words, file_with(header, data_bytes));
}

TEST(Safetensors, WhatIsWrittenReadsBackWithItsDigests) {
  const TestFolder folder;
  const float weights[6] = {1, 2, 3, 4, 5, 6};
  const uint16_t half[3] = {7, 8, 9};
  const int64_t scalar = -1;
  const std::string path = folder.path("m.safetensors");
  const std::string digest = write_safetensors(path,
                                               {{"b", "BF16", {3}, half, 6},
                                                {"w", "F32", {2, 3}, weights, 24},
                                                {"none", "F32", {0, 4}, nullptr, 0},
                                                {"../../etc/passwd", "I64", {}, &scalar, 8}},
                                               {{"note", "a \"quoted\" \xe2\x82\xac"}});
  EXPECT_EQ(digest, file_sha256(InputFile(path)));
  const SafetensorsFile file(path);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.metadata().at("note"), "a \"quoted\" \xe2\x82\xac");
  ASSERT_EQ(file.tensors().size(), 4u);
  const TensorEntry* w = file.find("w");
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(w->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(w->offset % 8, 0u) << "header padded to 8, wide types first";
  float back[6] = {};
  file.read(*w, back);
  EXPECT_EQ(std::memcmp(back, weights, sizeof back), 0);
  EXPECT_EQ(file.find("none")->bytes, 0u);
  EXPECT_TRUE(file.find("../../etc/passwd")->shape.empty()) << "a name is a label";
  EXPECT_EQ(file.find("absent"), nullptr);
}

TEST(Safetensors, EveryFlippedBitAndEveryCutIsNoticed) {
  const TestFolder folder;
  const float weights[4] = {1, 2, 3, 4};
  const std::string path = folder.path("m.safetensors");
  write_safetensors(path, {{"a", "F32", {2}, weights, 8}, {"b", "F32", {2}, weights + 2, 8}});
  const std::string whole = folder.read("m.safetensors");
  const auto metadata = SafetensorsFile(path).metadata();
  const auto opens_and_reads = [&](const std::string& bytes) {
    folder.write("m.safetensors", bytes);
    const SafetensorsFile file(path);
    char data[8];
    for (const char* name : {"a", "b"}) {
      const TensorEntry* entry = file.find(name);
      if (entry == nullptr || entry->bytes != 8 || entry->dtype != "F32") throw FileError(path, "", "missing tensor");
      file.read(*entry, data);
    }
    if (file.metadata() != metadata) throw FileError(path, "", "other metadata");
  };
  EXPECT_EQ(error_of([&] { opens_and_reads(whole); }), "nothing");
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const bool in_padding = damaged[bit / 8] != whole[bit / 8] && whole[bit / 8] == ' ' && bit / 8 > 8;
    if (in_padding && std::strchr("\n\r\t", damaged[bit / 8]) != nullptr) continue;
    EXPECT_NE(error_of([&] { opens_and_reads(damaged); }), "nothing") << "bit " << bit;
  }
  for (size_t cut = 0; cut < whole.size(); ++cut)
    EXPECT_NE(error_of([&] { opens_and_reads(whole.substr(0, cut)); }), "nothing") << "cut " << cut;
  std::string damaged = whole;
  damaged.back() ^= 1;
  folder.write("m.safetensors", damaged);
  const SafetensorsFile file(path);
  char data[8];
  expect_error(3, "tensor 'b': digest mismatch", [&] { file.read(*file.find("b"), data); });
  EXPECT_NO_THROW(file.read(*file.find("a"), data));
}

TEST(Safetensors, BadLengthsAreRefused) {
  refused("empty file", "");
  refused("need at least 8 bytes (found 7)", "1234567");
  refused("header length is 0", little_endian(0) + "{}");
  refused("header length 9223372036854775808 exceeds the file", little_endian(1ull << 63) + "{}");
  refused("header length 18446744073709551615 exceeds the file", little_endian(UINT64_MAX) + "{}");
  refused("header length 3 exceeds the file (2 bytes left)", little_endian(3) + "{}");
  refused("looks like gzip", std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00\x00", 11));
  refused("looks like a zip archive", "PK\x03\x04 a checkpoint of PyTorch");
  const TestFolder folder;
  folder.write("m", little_endian(100'000'001) + "{");
  std::filesystem::resize_file(folder.path("m"), 200'000'000);
  expect_error(3, "larger than 100 MB", [&] { SafetensorsFile{folder.path("m")}; });
}

TEST(Safetensors, AHeaderThatIsNoJsonObjectIsRefused) {
  refused_header("must begin with '{'", "[1]     ");
  refused_header("must begin with '{'", "\xef\xbb\xbf{}");
  refused_header("not valid UTF-8 at byte 10", "{\"\xff\":1}");
  refused_header("not valid JSON at byte", "{\"a\":");
  refused_header("not valid JSON at byte 10", std::string("{}\0\0", 4), 0);
  refused_header("not valid JSON at byte", "{} x", 0);
  refused_header("nested deeper than 8", "{\"a\":{\"dtype\":" + std::string(100'000, '['));
  refused_header("need an object (found an array)", "{\"a\":[]}");
  refused_header("need a text (found a number)", "{\"__metadata__\":{\"a\":1}}");
}

TEST(Safetensors, BadKeysAndTypesAreRefused) {
  const std::string good = tensor("a", "F32", "[4]", "[0,16]");
  refused_header("tensor 'a': duplicate tensor",
                 "{" + tensor("a", "F32", "[2]", "[0,8]") + "," + tensor("a", "F32", "[2]", "[8,16]") + "}");
  refused_header("duplicate key '__metadata__'", "{\"__metadata__\":{},\"__metadata__\":{}," + good + "}");
  refused_header("duplicate metadata key 'x'", "{\"__metadata__\":{\"x\":\"1\",\"x\":\"2\"}," + good + "}");
  refused_header("tensor 'a': duplicate key 'dtype'",
                 "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}");
  refused_header("tensor 'a': unknown key 'extra'", "{\"a\":{\"dtype\":\"F32\",\"extra\":1,\"shape\":[4],\"data_offsets\":[0,16]}}");
  refused_header("tensor 'a': missing 'dtype'", "{\"a\":{\"shape\":[4],\"data_offsets\":[0,16]}}");
  refused_header("tensor 'a': missing 'shape'", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,16]}}");
  refused_header("tensor 'a': missing 'data_offsets'", "{\"a\":{\"dtype\":\"F32\",\"shape\":[4]}}");
  refused_header("tensor 'a': unknown dtype 'f32'", "{" + tensor("a", "f32", "[4]", "[0,16]") + "}");
  refused_header("tensor name longer than 512 bytes", "{" + tensor(std::string(513, 'n'), "F32", "[4]", "[0,16]") + "}");
}

TEST(Safetensors, BadShapesAreRefused) {
  const auto shape = [](std::string_view words, const std::string& text) {
    refused_header(words, "{" + tensor("a", "F32", text, "[0,16]") + "}");
  };
  shape("non-negative integers below 2^63 (found -1)", "[-1]");
  shape("non-negative integers below 2^63 (found 2.0)", "[2.0]");
  shape("non-negative integers below 2^63 (found a text)", "[\"2\"]");
  shape("non-negative integers below 2^63 (found 18446744073709551616)", "[18446744073709551616]");
  shape("size overflows", "[4294967296,4294967296,4]");
  shape("size overflows", "[4611686018427387905]");
  shape("size overflows", "[9223372036854775807,9223372036854775807,0]");
  shape("rank is larger than 8", "[1,1,1,1,1,1,1,1,4]");
  std::string many = "[1";
  for (int i = 0; i < 10'000; ++i) many += ",1";
  shape("rank is larger than 8", many + "]");
}

TEST(Safetensors, BadOffsetsAreRefused) {
  const auto offsets = [](std::string_view words, const std::string& text) {
    refused_header(words, "{" + tensor("a", "F32", "[4]", text) + "}");
  };
  offsets("data_offsets are reversed", "[16,0]");
  offsets("data_offsets must hold non-negative integers", "[-16,0]");
  offsets("data_offsets must be two offsets", "[0]");
  offsets("data_offsets must be two offsets", "[0,16,16]");
  offsets("past the end", "[0,17]");
  offsets("past the end", "[9223372036854775807,9223372036854775807]");
  offsets("needs 16 bytes, data_offsets give 8", "[0,8]");
  refused_header("tensor 'b': overlaps tensor 'a'",
                 "{" + tensor("a", "F32", "[2]", "[0,8]") + "," + tensor("b", "F32", "[3]", "[4,16]") + "}");
  refused_header("hole of 8 bytes", "{" + tensor("a", "F32", "[2]", "[8,16]") + "}");
  refused_header("8 bytes after the last tensor", "{" + tensor("a", "F32", "[2]", "[0,8]") + "}");
  refused_header("16 bytes after the last tensor", "{}");
}

TEST(Safetensors, EmptyFilesScalarsAndSpacePaddingAreAccepted) {
  const TestFolder folder;
  EXPECT_TRUE(SafetensorsFile(folder.write("none", file_with("{}", 0))).tensors().empty());
  EXPECT_EQ(SafetensorsFile(folder.write("spaces", file_with("{}      ", 0))).tensors().size(), 0u);
  const SafetensorsFile scalar(
      folder.write("scalar", file_with("{" + tensor("s", "F64", "[]", "[0,8]") + "," + tensor("e", "F32", "[0]", "[8,8]") + "}", 8)));
  EXPECT_EQ(scalar.find("s")->bytes, 8u);
  EXPECT_EQ(scalar.find("e")->bytes, 0u);
}

TEST(Safetensors, ManyTensorsCostNoMoreThanTheirText) {
  std::string same = "{", many = "{";
  for (int i = 0; i < 100'000; ++i) same += (i == 0 ? "" : ",") + tensor("t" + std::to_string(i), "F32", "[4]", "[0,16]");
  refused_header("overlaps", same + "}");
  for (int i = 0; i < 100'001; ++i) many += (i == 0 ? "" : ",") + tensor("t" + std::to_string(i), "F32", "[0]", "[0,0]");
  refused_header("more than 100000 tensors", many + "}", 0);
}

}  // namespace
}  // namespace aot
