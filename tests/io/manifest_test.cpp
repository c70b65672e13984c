// SPDX-License-Identifier: Apache-2.0
#include "aot/io/manifest.h"

#include <gtest/gtest.h>

#include "aot/io/safetensors.h"
#include "aot/io/sha256.h"
#include "tests/support/files.h"

namespace aot {
namespace {

Manifest example() {
  Manifest manifest;
  manifest.step = 1200;
  manifest.facts = {{"run", "1f2e"}, {"threads", 2}};
  manifest.files = {{"config.json", 2, sha256_hex("{}")}};
  return manifest;
}

/// A manifest with one spot of its text replaced and its own digest made right again, as somebody hostile would.
std::string forged(const std::string& from, const std::string& to) {
  std::string text = manifest_text(example());
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  const size_t digest = text.rfind("\"sha256\": \"") + 11;
  text.replace(digest, 64, std::string(64, '0'));
  return text.replace(digest, 64, sha256_hex(text));
}

void refused(std::string_view words, const std::string& text) {
  const TestFolder folder;
  folder.write("manifest.json", text);
  expect_error(3, words, [&] { read_manifest(folder.path()); });
}

TEST(Manifest, ReadsBackWhatWasWritten) {
  const TestFolder folder;
  folder.write("manifest.json", manifest_text(example()));
  folder.write("config.json", "{}");
  const Manifest manifest = read_manifest(folder.path());
  EXPECT_EQ(manifest.step, 1200);
  EXPECT_EQ(manifest.facts["threads"], 2);
  ASSERT_EQ(manifest.files.size(), 1u);
  EXPECT_EQ(manifest.files[0].bytes, 2u);
  EXPECT_NO_THROW(verify_files(folder.path(), manifest));
}

TEST(Manifest, AFolderWithoutAWholeManifestIsNoCheckpoint) {
  const TestFolder folder;
  expect_error(3, "incomplete checkpoint", [&] { read_manifest(folder.path()); });
  expect_error(3, "no such file", [&] { read_manifest(folder.path("absent")); });
  refused("manifest is empty: incomplete checkpoint", "");
  refused("manifest is damaged: not valid JSON at byte 0", std::string(300, '\0'));
  const std::string whole = manifest_text(example());
  refused("manifest is damaged: not valid JSON at byte", whole.substr(0, whole.size() / 2));
  std::string flipped = whole;
  flipped[flipped.find("1200")] = '3';
  refused("manifest is damaged: its own digest does not match", flipped);
}

TEST(Manifest, FormatAndStepAreChecked) {
  refused("format 99 is newer than 1", forged("\"format\": 1", "\"format\": 99"));
  refused("bad format version 0", forged("\"format\": 1", "\"format\": 0"));
  refused("bad format version \"x\"", forged("\"format\": 1", "\"format\": \"x\""));
  refused("bad format version", "[]");
  refused("bad step -1", forged("\"step\": 1200", "\"step\": -1"));
  refused("bad step 1.5", forged("\"step\": 1200", "\"step\": 1.5"));
  refused("bad step 9223372036854775808", forged("\"step\": 1200", "\"step\": 9223372036854775808"));
  const TestFolder folder;
  std::filesystem::create_directory(folder.path("step-00001300"));
  folder.write("step-00001300/manifest.json", manifest_text(example()));
  expect_error(3, "bad step: the manifest says 1200, the folder's name 1300", [&] { read_manifest(folder.path("step-00001300")); });
  expect_error(3, "bad step", [&] { read_manifest(folder.path("step-00001300/")); });
}

TEST(Manifest, NamesAreLabelsNeverPaths) {
  for (const char* name : {"../x", "/x", "a/b", "..", ".", "", "a\\\\b", "a\\u0000b"})
    refused("is not a plain file name", forged("\"config.json\"", std::string("\"") + name + "\""));
  refused("duplicate file 'config.json'",
          forged("\"files\": [", "\"files\": [{\"name\":\"config.json\",\"bytes\":2,\"sha256\":\"" + std::string(64, 'a') + "\"},"));
  refused("key 'bytes': need at least 0", forged("\"bytes\": 2", "\"bytes\": -2"));
}

TEST(Manifest, EveryKindOfDamageToAFileIsNamed) {
  const TestFolder folder;
  const float weights[4] = {1, 2, 3, 4};
  Manifest manifest;
  const std::string model = folder.path("model.safetensors");
  const std::string digest = write_safetensors(model, {{"a", "F32", {2}, weights, 8}, {"b", "F32", {2}, weights + 2, 8}});
  manifest.files = {{"model.safetensors", std::filesystem::file_size(model), digest}};
  EXPECT_NO_THROW(verify_files(folder.path(), manifest));
  const std::string whole = folder.read("model.safetensors");
  const auto damaged = [&](std::string_view words) { expect_error(3, words, [&] { verify_files(folder.path(), manifest); }); };

  folder.write("model.safetensors", whole + "x");
  damaged("manifest says");
  std::string flipped = whole;
  flipped[flipped.size() - 12] ^= 4;
  folder.write("model.safetensors", flipped);
  damaged("tensor 'a': digest mismatch");
  flipped = whole;
  flipped[flipped.size() / 2] ^= 1;
  folder.write("model.safetensors", flipped);
  damaged("digest mismatch");
  std::filesystem::remove(model);
  damaged("missing file");
  folder.write("elsewhere", whole);
  std::filesystem::create_symlink("elsewhere", model);
  damaged("symbolic link");
}

}  // namespace
}  // namespace aot
