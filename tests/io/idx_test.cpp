// SPDX-License-Identifier: Apache-2.0
#include "aot/io/idx.h"

#include <zlib.h>

#include <gtest/gtest.h>

#include "tests/support/files.h"
#include "tests/support/idx.h"

namespace aot {
namespace {

std::string gzip(const std::string& bytes) {
  z_stream state = {};
  deflateInit2(&state, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&state, bytes.size()), '\0');
  state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  state.avail_in = static_cast<uInt>(bytes.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  deflate(&state, Z_FINISH);
  out.resize(state.total_out);
  deflateEnd(&state);
  return out;
}

/// All items of a file, one behind the other.
std::string read_all(const std::string& path) {
  IdxFile file(path);
  std::string all;
  for (int64_t i = 0; i < file.count(); ++i) {
    std::string item(static_cast<size_t>(file.item_bytes()), '\0');
    file.read_item(reinterpret_cast<uint8_t*>(item.data()));
    all += item;
  }
  return all;
}

class Idx : public testing::Test {
 protected:
  void expect_refused(std::string_view words, const std::string& bytes) {
    expect_error(3, words, [&] { read_all(folder_.write("x", bytes)); });
  }
  TestFolder folder_;
};

TEST_F(Idx, ItemsComeInOrderPlainOrInflated) {
  std::string data;
  for (int i = 0; i < 3 * 4 * 5; ++i) data += static_cast<char>(i * 7);
  for (const std::string& bytes : {idx_bytes({3, 4, 5}, data), gzip(idx_bytes({3, 4, 5}, data))}) {
    const std::string path = folder_.write("x", bytes);
    EXPECT_EQ(IdxFile(path).shape(), (std::vector<int64_t>{3, 4, 5}));
    EXPECT_EQ(read_all(path), data);
  }
}

TEST_F(Idx, GzipMayComeInSeveralMembers) {
  const std::string bytes = idx_bytes({6}, "abcdef");
  EXPECT_EQ(read_all(folder_.write("x", gzip(bytes.substr(0, 3)) + gzip(bytes.substr(3, 7)) + gzip(bytes.substr(10)))), "abcdef");
}

TEST_F(Idx, RefusesHeadersThatAreNone) {
  expect_refused("empty file", "");
  expect_refused("at least 4 bytes", std::string(3, '\0'));
  expect_refused("bad magic for IDX, looks like PNG", "\x89PNG\r\n\x1a\n");
  expect_refused("other byte order?", std::string("\x03\x08\0\0", 4) + std::string(12, '\0'));
  expect_refused("elements of type 13", idx_bytes({1}, "abcd", 13));
  expect_refused("0 dimensions", idx_bytes({}, ""));
  expect_refused("5 dimensions", idx_bytes({1, 1, 1, 1, 1}, "a"));
  expect_refused("header needs 16 bytes", idx_bytes({1, 1, 1}, "").substr(0, 15));
  expect_refused("dimension 1 is 0", idx_bytes({1, 0, 1}, ""));
  expect_refused("size overflows", idx_bytes({0xffffffff, 0xffffffff, 0xffffffff}, ""));
}

TEST_F(Idx, RefusesAnotherLengthThanTheHeaderSays) {
  expect_refused("header needs 6 bytes behind it, file has 5", idx_bytes({2, 3}, "abcde"));
  expect_refused("header needs 6 bytes behind it, file has 7", idx_bytes({2, 3}, "abcdefg"));
  expect_refused("record 1: cut", gzip(idx_bytes({2, 3}, "abcde")));
  expect_refused("bytes behind its 2 records", gzip(idx_bytes({2, 3}, "abcdefg")));
  expect_refused("file has at most", gzip(idx_bytes({1 << 30, 1 << 30}, "abc")));  // before anything is made for it
}

TEST_F(Idx, RefusesDamagedGzip) {
  const std::string whole = gzip(idx_bytes({100, 10}, std::string(1000, 'x') + ""));
  for (size_t length : {size_t{2}, size_t{12}, whole.size() / 2, whole.size() - 1}) expect_refused("gzip: cut", whole.substr(0, length));
  std::string damaged = whole;
  damaged[damaged.size() - 6] = static_cast<char>(damaged[damaged.size() - 6] ^ 1);
  expect_refused("gzip: damaged (incorrect data check)", damaged);
  expect_refused("gzip: damaged", whole + "more");
}

}  // namespace
}  // namespace aot
