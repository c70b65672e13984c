// SPDX-License-Identifier: Apache-2.0
#include "aot/models/checkpoint.h"

#include <algorithm>
#include <filesystem>

#include "aot/core/log.h"
#include "aot/core/options_json.h"
#include "aot/core/tensor_file.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/json.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kConfigFormat = 1;
constexpr std::string_view kTypePrefix = "aot-";  // of a model_type, before the task
constexpr uint64_t kConfigBytes = 1 << 20;

bool is_checkpoint(const fs::path& folder) {
  return fs::exists(folder / "manifest.json") || fs::exists(folder / "config.json");
}

/// The folder that a link inside `folder` names; links that lead elsewhere are refused.
fs::path followed(const fs::path& folder, const char* link) {
  const fs::path path = folder / link;
  if (!fs::is_symlink(fs::symlink_status(path))) return path;
  const fs::path target = fs::read_symlink(path);
  if (target.filename() != target) throw FileError(path.string(), "", "symbolic link out of its folder (found " + target.string() + ")");
  return folder / target;
}

std::string task_of(const LanguageOptions&) {
  return "language";
}
std::string task_of(const VisionOptions&) {
  return "vision";
}
std::string task_of(const RegressionOptions&) {
  return "icl";
}

/// What transformers reads beside our settings in a folder made for it.
constexpr std::string_view kForTransformers[] = {"architectures", "auto_map", "dtype", "torch_dtype", "transformers_version"};
/// Settings that came later; a file without them was written when there was nothing but the default.
constexpr std::string_view kLaterSettings[] = {"activation", "init"};

template <class Names>
bool is_one_of(std::string_view key, const Names& names) {
  return std::find(std::begin(names), std::end(names), key) != std::end(names);
}

template <class Options>
Json config_json(Options options) {
  Fields fields;
  describe(fields, options);
  Json out = {{"model_type", std::string(kTypePrefix) + task_of(options)}, {"format", kConfigFormat}};
  out.update(settings_json(fields.entries()));
  return out;
}

template <class Options>
std::string text_of_config(const Options& options, const Json& more) {
  Json config = config_json(options);
  config.update(more);
  return dump_json(config, 2) + "\n";
}

/// Checks the files of those names against the manifest, or all of them when no name is given.
Manifest check_files(const std::string& checkpoint, const std::vector<std::string>& names = {}) {
  Manifest manifest = read_manifest(checkpoint);
  if (!names.empty())
    std::erase_if(manifest.files,
                  [&](const ManifestFile& file) { return std::find(names.begin(), names.end(), file.name) == names.end(); });
  verify_files(checkpoint, manifest);
  return manifest;
}

void check_model_files(const std::string& checkpoint) {
  if (fs::exists(fs::path(checkpoint) / "manifest.json"))
    check_files(checkpoint, {"config.json", "model.safetensors", "tokenizer.json"});
  else if (!fs::exists(fs::path(checkpoint) / "config.json"))
    throw FileError(checkpoint, "", "incomplete checkpoint: neither manifest.json nor config.json");
  else
    log_info("note: " + escaped(checkpoint) + " has no manifest.json, so damage would go unnoticed");
}

std::string weights_path(const std::string& checkpoint) {
  return (fs::path(checkpoint) / "model.safetensors").string();
}

/// config.json and its path; checked against the manifest when there is one.
std::pair<Json, std::string> read_config(const std::string& checkpoint) {
  if (fs::exists(fs::path(checkpoint) / "manifest.json")) check_files(checkpoint, {"config.json"});
  const std::string path = (fs::path(checkpoint) / "config.json").string();
  Json config = parse_json(read_file(path, kConfigBytes), path);
  if (!config.is_object()) throw FileError(path, "", "need an object");
  return {std::move(config), path};
}

std::string task_in(const Json& config, const std::string& path) {
  const std::string type = json_text(config, "model_type", path);
  for (const char* task : {"language", "vision", "icl"})
    if (type == std::string(kTypePrefix) + task) return task;
  throw FileError(path, "key 'model_type'", "unknown model type (found '" + type + "', need 'aot-language', 'aot-vision' or 'aot-icl')");
}

template <class Options>
Options read_options(const std::string& checkpoint) {
  const auto [config, path] = read_config(checkpoint);
  Options options;
  if (const std::string task = task_in(config, path); task != task_of(options))
    throw FileError(path, "", "holds a model for " + task + ", need one for " + task_of(options));
  json_format(config, kConfigFormat, path);

  Fields fields;
  describe(fields, options);
  for (const TomlEntry& entry : fields.entries())
    if (!is_one_of(entry.key, kLaterSettings)) static_cast<void>(json_member(config, entry.key, path));  // none may be left to a default
  Json settings = Json::object();
  for (const auto& [key, value] : config.items())
    if (!is_one_of(key, kForTransformers)) settings[key] = value;
  for (const TomlEntry& entry : json_settings(settings, path)) {
    if (entry.key == "model_type" || entry.key == "format") continue;
    Field* field = fields.find(entry.key);
    if (field == nullptr) throw FileError(path, "key '" + entry.key + "'", "unknown key");
    try {
      field->set(entry.value, Origin::file, "value");
    } catch (const UsageError& error) {
      throw FileError(path, "key '" + entry.key + "'", error.problem);
    }
  }
  try {
    return resolved(options);
  } catch (const UsageError& error) {
    throw FileError(path, "", error.problem);
  }
}

template <class Model, class Options>
std::unique_ptr<Model> load(const std::string& checkpoint) {
  check_model_files(checkpoint);
  const auto options = read_options<Options>(checkpoint);
  // The shapes are compared before memory for them is asked for: config.json alone must not decide how much that is.
  const SafetensorsFile file(weights_path(checkpoint));
  if (options.layers > static_cast<int64_t>(file.tensors().size()))
    throw FileError(file.path(), "", str("model needs ", options.layers, " layers (found ", file.tensors().size(), " tensors)"));
  check_tensors(file, Model::without_storage(options).parameters(), Stored::or_smaller);
  auto model = std::make_unique<Model>(options, 0);
  fill_tensors(file, model->parameters(), Stored::or_smaller);
  return model;
}

template <class Model>
void save(AtomicFolder& folder, const Model& model) {
  folder.add_text("config.json", config_text(model.options()));
  save_tensors(folder, "model.safetensors", model.parameters());
}

}  // namespace

std::string find_checkpoint(const std::string& path, bool prefer_best) {
  const fs::path folder(path);
  if (!fs::exists(folder)) throw FileError(path, "", "no such file", "need a checkpoint or a run folder");
  if (is_checkpoint(folder)) return path;
  const fs::path checkpoints = folder / "checkpoints";
  if (prefer_best && fs::exists(checkpoints / "best")) return followed(checkpoints, "best").string();
  if (fs::exists(checkpoints / "last")) return followed(checkpoints, "last").string();
  throw FileError(path, "", "holds no checkpoint", "need a checkpoint folder or a run folder with checkpoints/last");
}

std::string config_text(const LanguageOptions& options, const Json& more) {
  return text_of_config(options, more);
}

std::string config_text(const VisionOptions& options, const Json& more) {
  return text_of_config(options, more);
}

std::string config_text(const RegressionOptions& options, const Json& more) {
  return text_of_config(options, more);
}

void save_model(AtomicFolder& folder, const LanguageModel& model) {
  save(folder, model);
}

void save_model(AtomicFolder& folder, const VisionModel& model) {
  save(folder, model);
}

void save_model(AtomicFolder& folder, const RegressionModel& model) {
  save(folder, model);
}

std::string read_model_task(const std::string& checkpoint) {
  const auto [config, path] = read_config(checkpoint);
  return task_in(config, path);
}

LanguageOptions read_model_options(const std::string& checkpoint) {
  return read_options<LanguageOptions>(checkpoint);
}

VisionOptions read_vision_options(const std::string& checkpoint) {
  return read_options<VisionOptions>(checkpoint);
}

RegressionOptions read_regression_options(const std::string& checkpoint) {
  return read_options<RegressionOptions>(checkpoint);
}

std::unique_ptr<LanguageModel> load_model(const std::string& checkpoint) {
  return load<LanguageModel, LanguageOptions>(checkpoint);
}

std::unique_ptr<VisionModel> load_vision_model(const std::string& checkpoint) {
  return load<VisionModel, VisionOptions>(checkpoint);
}

std::unique_ptr<RegressionModel> load_regression_model(const std::string& checkpoint) {
  return load<RegressionModel, RegressionOptions>(checkpoint);
}

void load_weights(const std::string& checkpoint, const Parameters& parameters) {
  check_model_files(checkpoint);
  load_tensors(SafetensorsFile(weights_path(checkpoint)), parameters, Stored::or_smaller);
}

Manifest verify_checkpoint(const std::string& checkpoint) {
  return check_files(checkpoint);
}

}  // namespace aot
