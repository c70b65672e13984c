// SPDX-License-Identifier: Apache-2.0
#include "aot/io/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "aot/io/output.h"
#include "aot/io/sha256.h"
#include "tests/support/files.h"

namespace aot {
namespace {

TEST(InputFile, WhatIsNoReadableRegularFileIsRefusedByName) {
  const TestFolder folder;
  const auto refused = [](int code, std::string_view words, const std::string& path) {
    expect_error(code, words, [&] { read_file(path, 100); });
  };
  refused(3, "no such file", folder.path("absent"));
  refused(3, "no such file", folder.write("file", "x") + "/inside");
  refused(3, "no such file", "");
  refused(3, "no such file", folder.path("file") + std::string("\0hidden", 7));
  refused(3, "not a regular file (found a folder)", folder.path());
  refused(3, "not a regular file (found a device)", "/dev/null");
  ASSERT_EQ(mkfifo(folder.path("pipe").c_str(), 0600), 0);
  refused(3, "not a regular file (found a pipe)", folder.path("pipe"));
  std::filesystem::create_symlink("loop", folder.path("loop"));
  refused(3, "too many levels", folder.path("loop"));
  refused(3, "empty file", folder.write("empty", ""));
  refused(3, "larger than 100 bytes (found 101 bytes)", folder.write("large", std::string(101, 'x')));
  refused(3, "\\x1b[2Jx\\x0a", folder.path("\x1b[2Jx\n"));
  if (geteuid() != 0) {
    folder.write("secret", "x");
    chmod(folder.path("secret").c_str(), 0);
    refused(4, "permission denied", folder.path("secret"));
  }
}

TEST(InputFile, AFileThatChangesWhileReadIsRefused) {
  const TestFolder folder;
  const InputFile file(folder.write("data", "0123456789"));
  char byte[10];
  file.read_at(0, byte, 10);
  EXPECT_NO_THROW(file.check_unchanged());
  std::filesystem::resize_file(folder.path("data"), 5);
  expect_error(3, "changed while being read", [&] { file.read_at(0, byte, 10); });
  expect_error(3, "changed while being read", [&] { file.check_unchanged(); });
}

TEST(InputFile, ALargeSparseFileIsRefusedWithoutReadingIt) {
  const TestFolder folder;
  folder.write("sparse", "");
  std::filesystem::resize_file(folder.path("sparse"), 1ull << 40);
  expect_error(3, "larger than 1 MiB (found 1099511627776 bytes)", [&] { read_file(folder.path("sparse"), 1 << 20); });
}

TEST(RunName, IsTheLastPartOfAPathHoweverItIsSpelt) {
  for (const char* path : {"runs/one", "runs/one/", "runs/one//", "./runs/../one/.", "/one", "one"})
    EXPECT_EQ(run_name(path), "one") << path;
  EXPECT_EQ(run_name("."), std::filesystem::current_path().filename().string());
  EXPECT_EQ(run_name("/"), "/");
  EXPECT_EQ(without_slash_at_end("runs/one//"), "runs/one");
  EXPECT_EQ(without_slash_at_end("/"), "/");
}

TEST(LooksLike, KnowsCommonFormatsByTheirFirstBytes) {
  EXPECT_EQ(looks_like("\x1f\x8b\x08"), "gzip");
  EXPECT_EQ(looks_like("\x7f"
                       "ELF"),
            "ELF");
  EXPECT_EQ(looks_like("\x89PNG\r\n"), "PNG");
  EXPECT_EQ(looks_like("\xff\xfe"
                       "a"),
            "UTF-16");
  EXPECT_EQ(looks_like("<!DOCTYPE html>"), "HTML");
  EXPECT_EQ(looks_like("ordinary text"), "");
  EXPECT_EQ(looks_like(""), "");
}

TEST(Sha256, MatchesThePublishedVectors) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 digest;
  for (int i = 0; i < 1000; ++i) digest.add(std::string(1000, 'a').data(), 1000);
  EXPECT_EQ(digest.hex(), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(OutputFile, WritesCountsAndHashes) {
  const TestFolder folder;
  OutputFile file(folder.path("out"));
  file.write("ab");
  file.write("c");
  EXPECT_EQ(file.bytes(), 3u);
  EXPECT_EQ(file.finish(), sha256_hex("abc"));
  EXPECT_EQ(folder.read("out"), "abc");
  expect_error(4, "cannot be created: File exists", [&] { OutputFile(folder.path("out")); });
  EXPECT_EQ(folder.read("out"), "abc");
}

TEST(OutputFile, AFileThatWasNotFinishedIsRemoved) {
  const TestFolder folder;
  { OutputFile(folder.path("out")).write("half"); }
  EXPECT_FALSE(std::filesystem::exists(folder.path("out")));
}

TEST(OutputFile, AFullDiskIsAnErrorThatNamesBytes) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full";
  const TestFolder folder;
  expect_error(4, "no space left (need", [&] { require_free_space(folder.path(), UINT64_MAX / 2); });
  EXPECT_NO_THROW(require_free_space(folder.path(), 1));
}

TEST(WriteFileAtomically, ReplacesWholeAndLeavesNothingElse) {
  const TestFolder folder;
  folder.write("config", "old");
  write_file_atomically(folder.path("config"), "new");
  EXPECT_EQ(folder.read("config"), "new");
  expect_error(4, "", [&] { write_file_atomically(folder.path("absent/config"), "new"); });
  std::filesystem::create_directory(folder.path("taken"));
  expect_error(4, "cannot be replaced", [&] { write_file_atomically(folder.path("taken"), "new"); });
  int entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) entries += !entry.path().empty();
  EXPECT_EQ(entries, 2);
}

TEST(RequireWritable, RefusesWhatWritingWouldRefuse) {
  const TestFolder folder;
  folder.write("old", "kept");
  EXPECT_NO_THROW(require_writable(folder.path("old")));
  EXPECT_NO_THROW(require_writable(folder.path("new")));
  EXPECT_FALSE(std::filesystem::exists(folder.path("new")));
  EXPECT_EQ(folder.read("old"), "kept");
  expect_error(4, "cannot be replaced: Is a directory", [&] { require_writable(folder.path()); });
  expect_error(4, "cannot be written: No such file", [&] { require_writable(folder.path("absent/file")); });
  expect_error(4, "cannot be written: Not a directory", [&] { require_writable(folder.path("old/file")); });
  if (geteuid() != 0) {
    chmod(folder.path().c_str(), 0500);
    expect_error(4, "permission denied", [&] { require_writable(folder.path("new")); });
    chmod(folder.path().c_str(), 0700);
  }
}

TEST(MakeFolders, MakesParentsAndSaysWhatIsInTheWay) {
  const TestFolder folder;
  make_folders(folder.path("a/b/c/"));
  make_folders(folder.path("a/b/c"));
  EXPECT_TRUE(std::filesystem::is_directory(folder.path("a/b/c")));
  folder.write("file", "x");
  expect_error(4, "is in the way: not a folder", [&] { make_folders(folder.path("file")); });
  expect_error(4, "cannot be made", [&] { make_folders(folder.path("file/under")); });
}

}  // namespace
}  // namespace aot
