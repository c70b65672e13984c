// SPDX-License-Identifier: Apache-2.0
#include "aot/core/atomic.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/files.h"

namespace aot {
namespace {

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

using Names = std::vector<std::string>;

void save(const std::string& parent, const std::string& name, std::string_view text) {
  AtomicFolder folder(parent, name);
  folder.add_text("config.json", text);
  Manifest manifest;
  manifest.step = 3;
  folder.commit(manifest);
}

TEST(AtomicFolder, IsThereWholeWithItsManifestAndNothingElse) {
  const TestFolder run;
  save(run.path("checkpoints"), "step-3", "one");
  EXPECT_EQ(names_in(run.path("checkpoints")), Names{"step-3"});
  const std::string folder = run.path("checkpoints/step-3");
  const Manifest manifest = read_manifest(folder);
  EXPECT_EQ(manifest.step, 3);
  EXPECT_NO_THROW(verify_files(folder, manifest));
}

TEST(AtomicFolder, AnExistingFolderIsExchangedWhole) {
  const TestFolder run;
  save(run.path(), "step-3", "one");
  run.write("step-3/extra", "of the old one");
  save(run.path(), "step-3", "two");
  EXPECT_EQ(names_in(run.path()), Names{"step-3"});
  EXPECT_EQ(run.read("step-3/config.json"), "two");
  EXPECT_FALSE(std::filesystem::exists(run.path("step-3/extra")));
}

TEST(AtomicFolder, WithoutCommitNothingStays) {
  const TestFolder run;
  save(run.path(), "step-3", "one");
  {
    AtomicFolder folder(run.path(), "step-3");
    folder.add_text("config.json", "two");
  }
  EXPECT_EQ(names_in(run.path()), Names{"step-3"});
  EXPECT_EQ(run.read("step-3/config.json"), "one");
  AtomicFolder folder(run.path(), "step-4");
  expect_error(3, "not a plain file name", [&] { folder.add_text("../escape", "x"); });
}

TEST(AtomicFolder, AFailureIsAnErrorAndLeavesTheOldOne) {
  const TestFolder run;
  run.write("taken", "a file");
  expect_error(4, "not a folder", [&] { save(run.path("taken"), "step-3", "x"); });
  EXPECT_EQ(names_in(run.path()), Names{"taken"});
}

TEST(ReplaceLink, PointsAtTheNewTargetAndLeavesNothingElse) {
  const TestFolder run;
  replace_link(run.path(), "last", "step-1");
  replace_link(run.path(), "last", "step-2");
  EXPECT_EQ(std::filesystem::read_symlink(run.path("last")), "step-2");
  EXPECT_EQ(names_in(run.path()), Names{"last"});
  std::filesystem::create_directory(run.path("best"));
  expect_error(4, "cannot be replaced", [&] { replace_link(run.path(), "best", "step-2"); });
  EXPECT_EQ(names_in(run.path()), (Names{"best", "last"}));
}

TEST(RemoveLeftovers, RemovesOnlyWhatADeadWriterLeft) {
  const TestFolder run;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto* left = new AtomicFolder(run.path(), "step-1");  // dies with it, as by kill -9
    left->add_text("config.json", "half");
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  ASSERT_EQ(names_in(run.path()).size(), 1u);
  run.write(".tmp-config.toml-" + std::to_string(child) + "-5", "half");
  run.write(".tmp-config.toml-1-5", "of a live process");
  run.write("step-9", "not ours to judge");
  const AtomicFolder living(run.path(), "step-2");
  remove_leftovers(run.path());
  const Names left = names_in(run.path());
  EXPECT_EQ(left.size(), 3u);
  EXPECT_EQ(left[0], ".tmp-config.toml-1-5");
  EXPECT_EQ(left[1].rfind(".tmp-step-2-", 0), 0u);
  EXPECT_EQ(left[2], "step-9");
  EXPECT_NO_THROW(remove_leftovers(run.path("absent")));
}

TEST(RemoveLeftovers, OfOneNameLeavesAllOthers) {
  const TestFolder place;
  for (const char* name : {".tmp-out-1-2", ".tmp-out-more-1-2", ".tmp-out", ".tmp-out-1-x", ".tmp-other-1-2", "out-1-2"})
    std::filesystem::create_directory(place.path(name));
  const TemporaryFolder living(place.path(), "out", 0700);
  remove_leftovers(place.path(), "out");
  const Names left = names_in(place.path());
  EXPECT_EQ(left.size(), 6u);  // the living one, and all but .tmp-out-1-2
  EXPECT_EQ(std::count(left.begin(), left.end(), ".tmp-out-1-2"), 0);
  EXPECT_TRUE(std::filesystem::exists(living.path()));
}

TEST(FolderLock, KeepsASecondHolderOutAndNamesTheFirst) {
  const TestFolder run;
  {
    const FolderLock lock(run.path());
    expect_error(4, "in use by process " + std::to_string(getpid()), [&] { FolderLock{run.path()}; });
  }
  EXPECT_NO_THROW(FolderLock{run.path()});
  expect_error(4, "cannot be opened", [&] { FolderLock{run.path("absent")}; });
}

TEST(FolderLock, ALockOfADeadProcessIsTakenOverWithANote) {
  const TestFolder run;
  run.write(".lock", "4194304\n");
  testing::internal::CaptureStderr();
  { const FolderLock lock(run.path()); }
  EXPECT_NE(testing::internal::GetCapturedStderr().find("process 4194304 left"), std::string::npos);
  testing::internal::CaptureStderr();
  { const FolderLock lock(run.path()); }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "a clean end leaves no note";
}

}  // namespace
}  // namespace aot
