// SPDX-License-Identifier: Apache-2.0
// Folders of transformers' GPT2LMHeadModel.
#include <filesystem>

#include "aot/core/log.h"
#include "aot/data/tokenizer.h"
#include "aot/interop/gpt2_layout.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/json.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

/// Refuses a setting that would change the formulas. Absent ones have transformers' default, which is `needed`.
void require_setting(const Json& config, const std::string& path, const char* key, const Json& needed) {
  if (const auto found = config.find(key); found != config.end() && *found != needed)
    throw FileError(path, str("key '", key, "'"), str("not supported (found ", dump_json(*found), ", need ", dump_json(needed), ")"));
}

bool gelu_is_tanh(const Json& config, const std::string& path) {
  const std::string name = config.contains("activation_function") ? json_text(config, "activation_function", path) : "gelu_new";
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return true;
  if (name == "gelu") return false;
  throw FileError(path, "key 'activation_function'", "not supported (found '" + escaped(name, 40) + "', need 'gelu_new' or 'gelu')");
}

/// tokenizer.json, or GPT-2's two files; a tokenizer that we cannot read leaves the model without one.
std::string tokenizer_of(const fs::path& folder) {
  try {
    if (fs::exists(folder / "tokenizer.json")) return read_tokenizer((folder / "tokenizer.json").string())->to_json();
    if (fs::exists(folder / "merges.txt") || fs::exists(folder / "vocab.bpe")) return read_gpt2_tokenizer(folder.string())->to_json();
  } catch (const Error& error) {
    log_warning(str(error.what(), "; the model is left without a tokenizer"));
  }
  return {};
}

}  // namespace

ForeignModel read_gpt2(const std::string& path) {
  const fs::path folder(path);
  if (!fs::exists(folder)) throw FileError(path, "", "no such file", "need a folder with config.json and model.safetensors");
  const std::string config_path = (folder / "config.json").string();
  const Json config = parse_json(read_file(config_path, 1 << 20), config_path);
  if (!config.is_object()) throw FileError(config_path, "", "need an object");
  if (const std::string type = json_text(config, "model_type", config_path); type != "gpt2")
    throw FileError(config_path, "key 'model_type'", "found '" + escaped(type, 40) + "', need 'gpt2'");
  require_setting(config, config_path, "layer_norm_epsilon", 1e-5);
  require_setting(config, config_path, "scale_attn_weights", true);
  require_setting(config, config_path, "scale_attn_by_inverse_layer_idx", false);
  require_setting(config, config_path, "add_cross_attention", false);

  const std::shared_ptr<const NamedTensors> tensors = open_safetensors(path);
  Gpt2Shape shape{.prefix = tensors->has("transformer.wte.weight") ? "transformer." : "", .transposed = true};
  shape.gelu_tanh = gelu_is_tanh(config, config_path);
  const bool tied = !config.contains("tie_word_embeddings") || json_bool(config, "tie_word_embeddings", config_path);
  shape.head = tied ? shape.prefix + "wte.weight" : "lm_head.weight";
  LanguageOptions options;
  options.heads = json_integer(config, "n_head", config_path, 1, 1 << 18);
  ForeignModel model = from_gpt2(tensors, shape, options);
  const auto& found = std::get<LanguageOptions>(model.options);
  if (config.contains("n_inner") && !config["n_inner"].is_null()) require_setting(config, config_path, "n_inner", 4 * found.width);
  require_setting(config, config_path, "n_layer", found.layers);
  model.tokenizer_json = tokenizer_of(folder);
  return model;
}

}  // namespace aot
