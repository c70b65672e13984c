// SPDX-License-Identifier: Apache-2.0
#include "aot/io/json.h"

#include "aot/io/json_reader.h"
#include "aot/io/manifest.h"
#include "aot/io/sha256.h"
#include "tests/fuzz/target.h"

namespace {

using namespace aot;

void check_tree(std::string_view text) {
  Json json;
  if (!accepted([&] { json = parse_json(text, "x.json"); })) return;
  require(nlohmann::json::accept(text), "what is read is JSON");
  const std::string dumped = dump_json(json);
  require(parse_json(dumped, "x.json") == json, "reading undoes writing");
  const std::string path = "x.json";
  JsonReader reader(text, path);
  reader.skip();
  reader.finish();
}

/// The text with its own digest made right, so that the checks behind the digest are reached.
std::string forged(std::string_view text) {
  std::string out(text);
  const size_t at = out.rfind("\"sha256\"");
  const size_t start = at == std::string::npos ? at : out.find('"', at + 8);
  if (start == std::string::npos || out.size() < start + 66 || out[start + 65] != '"') return out;
  out.replace(start + 1, 64, std::string(64, '0'));
  return out.replace(start + 1, 64, sha256_hex(out));
}

void check_manifest(std::string_view text) {
  Manifest manifest;
  if (!accepted([&] { manifest = parse_manifest(text, "step-00000012"); })) return;
  require(manifest.step == 12 && manifest.format == kManifestFormat, "step and format are checked");
  for (const ManifestFile& file : manifest.files) require(is_plain_file_name(file.name), "names are plain");
  require(manifest_text(parse_manifest(manifest_text(manifest), "step-00000012")) == manifest_text(manifest), "reading undoes writing");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = text_of(data, size);
  check_tree(text);
  check_manifest(text);
  check_manifest(forged(text));
  return 0;
}
