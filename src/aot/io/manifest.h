// SPDX-License-Identifier: Apache-2.0
// manifest.json of a checkpoint: what belongs to it, with lengths and SHA-256; written last (docs/io.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "aot/io/json.h"

namespace aot {

struct ManifestFile {
  std::string name;  // a plain file name in the same folder
  uint64_t bytes = 0;
  std::string sha256;
};

struct Manifest {
  int64_t format = 1;
  int64_t step = 0;
  Json facts = Json::object();  // program version, run id, threads, CPU, digests of config, tokenizer and data
  std::vector<ManifestFile> files;
};

constexpr int64_t kManifestFormat = 1;

std::string manifest_text(const Manifest& manifest);  // with its own digest, taken with that field zeroed

/// Reads FOLDER/manifest.json. Throws FileError: `incomplete checkpoint` when there is none, `manifest is ...`, `newer than`, `bad step`,
/// `not a plain file name`.
Manifest read_manifest(const std::string& folder);

/// The same from the text of that file; a folder called step-NUMBER must hold that step.
Manifest parse_manifest(std::string_view text, const std::string& folder);

/// Whether `name` can only mean a file in the folder itself.
bool is_plain_file_name(std::string_view name);

/// Checks presence, kind, length and digest of every file. Throws FileError: `missing file`, `manifest says`, `digest mismatch`, `symbolic
/// link`.
void verify_files(const std::string& folder, const Manifest& manifest);

}  // namespace aot
