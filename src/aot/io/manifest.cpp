// SPDX-License-Identifier: Apache-2.0
#include "aot/io/manifest.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/safetensors.h"
#include "aot/io/sha256.h"

namespace aot {
namespace {

constexpr uint64_t kMaxBytes = 16u << 20;
const std::string kZeroDigest(64, '0');

bool is_digest(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Json to_json(const Manifest& manifest, const std::string& digest) {
  Json files = Json::array();
  for (const ManifestFile& file : manifest.files) files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  return {{"format", manifest.format}, {"step", manifest.step}, {"facts", manifest.facts}, {"files", files}, {"sha256", digest}};
}

void check_format(const Json& json, const std::string& path) {
  const auto format = json.is_object() ? json.find("format") : json.end();
  if (format == json.end() || !format->is_number_integer() || *format < 1)
    throw FileError(path, "", str("bad format version", format == json.end() ? "" : " " + escaped(dump_json(*format), 40)));
  if (*format > kManifestFormat)
    throw FileError(path, "",
                    str("format ", dump_json(*format), " is newer than ", kManifestFormat, ", the newest that this program reads"));
}

/// The step that a folder's own name tells, or -1 when it is not called step-NUMBER.
int64_t step_of_name(const std::string& folder) {
  const size_t end = folder.find_last_not_of('/') + 1;
  const size_t start = folder.find_last_of('/', end == 0 ? 0 : end - 1) + 1;
  const std::string name = folder.substr(start, end - start);
  if (name.rfind("step-", 0) != 0 || name.size() == 5 || name.size() > 20 || name.find_first_not_of("0123456789", 5) != std::string::npos)
    return -1;
  return std::stoll(name.substr(5));
}

ManifestFile file_of(const Json& json, const std::string& path) {
  ManifestFile file;
  file.name = json_text(json, "name", path);
  if (!is_plain_file_name(file.name)) throw FileError(path, "", str("'", escaped(file.name, 80), "' is not a plain file name"));
  file.bytes = static_cast<uint64_t>(json_integer(json, "bytes", path, 0, INT64_MAX));
  file.sha256 = json_text(json, "sha256", path);
  if (!is_digest(file.sha256)) throw FileError(path, "key 'sha256'", str("need 64 hexadecimal digits for '", file.name, "'"));
  return file;
}

Manifest manifest_of(const Json& json, const std::string& path, const std::string& folder) {
  Manifest manifest;
  manifest.format = json_integer(json, "format", path, 1, kManifestFormat);
  const Json& step = json_member(json, "step", path);
  if (!step.is_number_integer() || step.is_number_unsigned() || step < 0)
    throw FileError(path, "", str("bad step ", escaped(dump_json(step), 40)));
  manifest.step = step.get<int64_t>();
  if (const int64_t named = step_of_name(folder); named >= 0 && named != manifest.step)
    throw FileError(path, "", str("bad step: the manifest says ", manifest.step, ", the folder's name ", named));
  manifest.facts = json_member(json, "facts", path);
  const Json& files = json_member(json, "files", path);
  if (!manifest.facts.is_object() || !files.is_array()) throw FileError(path, "", "need an object 'facts' and an array 'files'");
  std::vector<std::string> names;
  for (const Json& file : files) {
    manifest.files.push_back(file_of(file, path));
    names.push_back(manifest.files.back().name);
  }
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
    throw FileError(path, "", str("duplicate file '", escaped(*twice, 80), "'"));
  return manifest;
}

/// The first damaged tensor of a safetensors file whose digest is wrong as a whole, as the place of a message; empty when none can be
/// named.
std::string damaged_place(const std::string& path) {
  try {
    const SafetensorsFile file(path);
    std::vector<char> data;
    for (const TensorEntry& tensor : file.tensors()) {
      data.resize(tensor.bytes);
      file.read(tensor, data.data());
    }
  } catch (const FileError& error) {
    return error.place;
  }
  return "";
}

}  // namespace

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

std::string manifest_text(const Manifest& manifest) {
  const std::string zeroed = dump_json(to_json(manifest, kZeroDigest), 2) + "\n";
  return dump_json(to_json(manifest, sha256_hex(zeroed)), 2) + "\n";
}

Manifest read_manifest(const std::string& folder) {
  const std::string path = folder + "/manifest.json";
  struct stat status = {};
  if (stat(folder.c_str(), &status) == 0 && lstat(path.c_str(), &status) != 0 && errno == ENOENT)
    throw FileError(folder, "", "incomplete checkpoint: no manifest.json");
  const std::string text = read_file(path, kMaxBytes, true);
  if (text.empty()) throw FileError(path, "", "manifest is empty: incomplete checkpoint");
  return parse_manifest(text, folder);
}

Manifest parse_manifest(std::string_view text, const std::string& folder) {
  const std::string path = folder + "/manifest.json";
  Json json;
  try {
    json = parse_json(text, path);
  } catch (const FileError& error) {
    throw FileError(path, error.place, "manifest is damaged: " + error.problem);
  }
  check_format(json, path);
  const std::string digest = json_text(json, "sha256", path);
  std::string zeroed(text);
  const size_t at = zeroed.rfind("\"" + digest + "\"");
  if (is_digest(digest) && at != std::string::npos) zeroed.replace(at + 1, digest.size(), kZeroDigest);
  if (sha256_hex(zeroed) != digest) throw FileError(path, "", "manifest is damaged: its own digest does not match");
  return manifest_of(json, path, folder);
}

void verify_files(const std::string& folder, const Manifest& manifest) {
  for (const ManifestFile& wanted : manifest.files) {
    const std::string path = folder + "/" + wanted.name;
    struct stat status = {};
    if (lstat(path.c_str(), &status) != 0 && errno == ENOENT) throw FileError(path, "", "missing file", "the checkpoint is not whole");
    if (S_ISLNK(status.st_mode)) throw FileError(path, "", "is a symbolic link, need a regular file");
    const InputFile file(path);
    if (file.size() != wanted.bytes) throw FileError(path, "", str("manifest says ", wanted.bytes, " bytes, file has ", file.size()));
    if (file_sha256(file) != wanted.sha256) throw FileError(path, damaged_place(path), "digest mismatch", "the file is damaged");
  }
}

}  // namespace aot
