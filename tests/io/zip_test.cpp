// SPDX-License-Identifier: Apache-2.0
#include "aot/io/zip.h"

#include <gtest/gtest.h>

#include "aot/io/pt_file.h"
#include "aot/io/pt_write.h"
#include "tests/support/files.h"

namespace aot {
namespace {

using namespace std::string_literals;

ZipPart part(const std::string& name, const std::string& content) {
  return {name, content.size(), [content](const ByteSink& sink) { sink(content.data(), content.size()); }};
}

std::string text(const std::string& value) {
  return "X"s + static_cast<char>(value.size()) + "\0\0\0"s + value;
}

/// A file of torch.save with one tensor of three float32 numbers.
std::vector<ZipPart> torch_parts(char count = 3) {
  const std::string pickle = "\x80\2}" + text("w") + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" +
                             text("7") + text("cpu") + "K" + count + "tQK\0K\3\x85K\1\x85\x89N"s + "tRs.";
  return {part("archive/data.pkl", pickle), part("archive/byteorder", "little"),
          part("archive/data/7", "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40"s)};
}

/// The archive of `parts` with `change` done to its bytes.
template <class Change>
void refused(std::string_view words, const std::vector<ZipPart>& parts, const Change& change) {
  const TestFolder folder;
  const std::string written = folder.path("x.zip");
  write_zip(written, parts);
  std::string bytes = read_file(written, 1 << 20);
  change(bytes);
  const std::string damaged = folder.write("y.zip", bytes);
  expect_error(3, words, [&] { ZipFile{damaged}; });
}

TEST(Zip, WhatIsWrittenReadsBackAligned) {
  const TestFolder folder;
  const std::string path = folder.path("x.zip");
  const std::string digest = write_zip(path, {part("b/two", "hello"), part("a", ""), part("../../etc/passwd", std::string(1000, 'x'))});
  EXPECT_EQ(digest, file_sha256(InputFile(path)));
  const ZipFile zip(path);
  ASSERT_EQ(zip.entries().size(), 3u);
  const ZipEntry* two = zip.find("b/two");
  ASSERT_NE(two, nullptr);
  EXPECT_EQ(two->offset % 64, 0u);
  std::string back(two->bytes, '\0');
  zip.read(*two, 0, back.data(), back.size());
  EXPECT_EQ(back, "hello");
  EXPECT_EQ(zip.find("absent"), nullptr);
}

TEST(Zip, DamageIsRefused) {
  const std::vector<ZipPart> two = {part("one", "11111111"), part("two", "22222222")};
  const auto at = [](const std::string& bytes, const char* what, size_t after) { return bytes.rfind(what) + after; };
  refused("empty file", two, [](std::string& b) { b.clear(); });
  refused("need a ZIP archive", two, [](std::string& b) { b = "\x80\2cos\nsystem\n."; });
  refused("not a ZIP archive", two, [](std::string& b) { b = "text"; });
  refused("its directory is missing", two, [](std::string& b) { b.pop_back(); });
  refused("ZIP64 record past the end", two, [&](std::string& b) { b[at(b, "PK\6\7", 14)] = '\x7f'; });
  refused("no ZIP64 record", two, [&](std::string& b) { b[at(b, "PK\6\6", 0)] = 'x'; });
  refused("the directory leads past the end", two, [&](std::string& b) { b[at(b, "PK\6\6", 54)] = '\x7f'; });
  refused("do not fit in a directory", two, [&](std::string& b) { b[at(b, "PK\6\6", 33)] = '\1'; });
  refused("more than 100000 entries", two, [&](std::string& b) { b[at(b, "PK\6\6", 36)] = '\1'; });
  refused("entry 'two': compressed", two, [&](std::string& b) { b[at(b, "PK\1\2", 10)] = 8; });
  refused("entry 'two': encrypted", two, [&](std::string& b) { b[at(b, "PK\1\2", 8)] = 1; });
  refused("ZIP64 field is missing", two, [&](std::string& b) { b[at(b, "PK\1\2", 49)] = 9; });
  refused("entry 'two': leads past the end", two, [&](std::string& b) { b[at(b, "PK\1\2", 74)] = '\x7f'; });
  refused("is called 'one' where it stands", two, [&](std::string& b) {
    for (int i = 0; i < 8; ++i) b[at(b, "PK\1\2", 69) + static_cast<size_t>(i)] = 0;
  });
  refused("duplicate entry", {part("same", "1"), part("same", "2")}, [](std::string&) {});
}

TEST(Zip, EntriesMayNotOverlap) {
  // Both sizes of the first entry reach over the second.
  refused("overlaps entry 'one'", {part("one", "11111111"), part("two", "22222222")}, [](std::string& b) {
    const size_t first = b.find("PK\1\2");
    b[first + 53] = b[first + 61] = static_cast<char>(130);
  });
}

TEST(PtFile, ATensorIsFoundAndRead) {
  const TestFolder folder;
  const std::string path = folder.path("x.pt");
  write_zip(path, torch_parts());
  const PtFile file(path);
  const PickleTensor* w = file.root().member("w")->tensor();
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(file.dtype(*w), "F32");
  float numbers[3] = {};
  file.read(*w, 0, numbers, sizeof numbers);
  EXPECT_EQ(numbers[2], 3.0f);
}

TEST(PtFile, AFlippedBitIsNoticed) {
  const TestFolder folder;
  const std::string path = folder.path("x.pt");
  write_zip(path, torch_parts());
  std::string bytes = read_file(path, 1 << 20);
  bytes[ZipFile(path).find("archive/data/7")->offset] ^= 4;
  const PtFile file(folder.write("y.pt", bytes));
  float numbers[3] = {};
  expect_error(3, "entry 'archive/data/7': checksum mismatch",
               [&] { file.read(*file.root().member("w")->tensor(), 0, numbers, sizeof numbers); });
}

TEST(PtFile, WhatIsWrittenReadsBack) {
  const TestFolder folder;
  const std::string path = folder.path("x.pt");
  const float numbers[6] = {1, 2, 3, 4, 5, 6};
  PtWriter out;
  out.begin_dict();
  out.text("w");
  out.tensor({"w", "F32", {2, 3}, [&](const ByteSink& sink) { sink(numbers, sizeof numbers); }});
  out.text("step");
  out.integer(-5);
  out.text("loss");
  out.real(1.5);
  out.text("inside");
  out.begin_dict();
  out.text("bias");
  out.boolean(true);
  out.end_dict();
  out.end_dict();
  const std::string digest = out.write(path);
  EXPECT_EQ(digest, file_sha256(InputFile(path)));
  const PtFile file(path);
  EXPECT_EQ(file.root().member("step")->integer(), -5);
  EXPECT_EQ(file.root().member("loss")->real(), 1.5);
  EXPECT_EQ(file.root().member("inside")->member("bias")->boolean(), true);
  const PickleTensor* w = file.root().member("w")->tensor();
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(w->shape, (std::vector<int64_t>{2, 3}));
  float row[3] = {};
  file.read(*w, 12, row, sizeof row);
  EXPECT_EQ(row[0], 4.0f);
}

TEST(PtFile, WhatIsPromisedMustBeThere) {
  const auto refuse = [](std::string_view words, std::vector<ZipPart> parts) {
    const TestFolder folder;
    const std::string path = folder.path("x.pt");
    write_zip(path, parts);
    expect_error(3, words, [&] { PtFile{path}; });
  };
  refuse("needs 100 numbers of 4 bytes, the archive holds 12 bytes", torch_parts(100));
  refuse("storage '7': missing from the archive", {torch_parts()[0]});
  refuse("holds no data.pkl", {part("x", "")});
  refuse("another byte order", {torch_parts()[0], part("archive/byteorder", "big"), torch_parts()[2]});
}

}  // namespace
}  // namespace aot
