// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>

#include "aot/core/atomic.h"
#include "aot/interop/convert.h"
#include "aot/interop/gpt2_layout.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/json.h"
#include "aot/io/output.h"
#include "aot/io/pt_write.h"
#include "aot/models/checkpoint.h"

namespace aot {
namespace {

std::string name_of(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

const char* torch_name(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? "bfloat16" : "float32";
}

const LanguageOptions& language(const ForeignModel& model) {
  return std::get<LanguageOptions>(model.options);
}

/// A folder of config.json, model.safetensors, the tokenizer and `files`.
void write_folder(const std::string& target, const std::string& config, const std::vector<LazyTensor>& tensors, at::ScalarType dtype,
                  const std::string& tokenizer_json, const std::vector<HfFile>& files = {}) {
  AtomicFolder folder(folder_of(target), name_of(target));
  folder.add_text("config.json", config);
  for (const HfFile& file : files) folder.add_text(file.name, file.text);
  if (!tokenizer_json.empty()) folder.add_text("tokenizer.json", tokenizer_json);
  save_tensors(folder, "model.safetensors", tensors, dtype);
  Manifest manifest;
  manifest.facts = {{"program", AOT_VERSION}};
  folder.commit(manifest);
}

/// What transformers' AutoTokenizer needs beside tokenizer.json: a class, and the token that ends a text.
std::string tokenizer_config(const std::string& tokenizer_json) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
  if (tokenizer_json.find("\"<|endoftext|>\"") != std::string::npos) config["eos_token"] = config["bos_token"] = "<|endoftext|>";
  return dump_json(config, 2) + "\n";
}

}  // namespace

void write_aot(const ForeignModel& model, const std::string& target, at::ScalarType dtype) {
  const std::string config = std::visit([](const auto& options) { return config_text(options); }, model.options);
  write_folder(target, config, model.tensors, dtype, model.tokenizer_json);
}

void write_hf(const ForeignModel& model, const std::string& target, at::ScalarType dtype) {
  static constexpr const char* kKnownMixers[] = {"mssa", "mhsa", "tssa"};  // of modeling_aot.py
  const LanguageOptions& options = language(model);
  if (std::find(std::begin(kKnownMixers), std::end(kKnownMixers), options.mixer) == std::end(kKnownMixers))
    throw UsageError("--to hf: its Python code has no mixer " + options.mixer, "it has mssa, mhsa and tssa");
  std::vector<HfFile> files = hf_files();
  if (!model.tokenizer_json.empty()) files.push_back({"tokenizer_config.json", tokenizer_config(model.tokenizer_json)});
  const Json more = {{"architectures", {"AotForCausalLM"}},
                     {"auto_map", {{"AutoConfig", "configuration_aot.AotConfig"}, {"AutoModelForCausalLM", "modeling_aot.AotForCausalLM"}}},
                     {"torch_dtype", torch_name(dtype)}};
  write_folder(target, config_text(options, more), model.tensors, dtype, model.tokenizer_json, files);
}

void write_gpt2(const ForeignModel& model, const std::string& target, at::ScalarType dtype) {
  const LanguageOptions& o = language(model);
  require_gpt2(o, "gpt2");
  const Json config = {{"model_type", "gpt2"},
                       {"architectures", {"GPT2LMHeadModel"}},
                       {"n_layer", o.layers},
                       {"n_head", o.heads},
                       {"n_embd", o.width},
                       {"n_positions", o.context},
                       {"n_ctx", o.context},
                       {"vocab_size", o.vocab_size},
                       {"activation_function", o.activation == Activation::gelu_tanh ? "gelu_new" : "gelu"},
                       {"layer_norm_epsilon", 1e-5},
                       {"embd_pdrop", o.dropout},
                       {"attn_pdrop", 0.0},
                       {"resid_pdrop", o.dropout},
                       {"bos_token_id", nullptr},
                       {"eos_token_id", nullptr},
                       {"tie_word_embeddings", o.tie_embeddings},
                       {"torch_dtype", torch_name(dtype)}};
  const auto tensors = to_gpt2(o, model.tensors, "transformer.", /*transposed=*/true, /*with_bias=*/true);
  write_folder(target, dump_json(config, 2) + "\n", tensors, dtype, model.tokenizer_json);
}

void write_nanogpt(const ForeignModel& model, const std::string& target, at::ScalarType dtype) {
  const LanguageOptions& o = language(model);
  require_gpt2(o, "nanogpt");
  if (!o.tie_embeddings) throw UsageError("--to nanogpt needs a head that is tied to the embedding", "--to gpt2 takes both");
  if (o.activation != Activation::gelu)
    throw UsageError("--to nanogpt needs the exact gelu, this model has gelu-tanh", "--to gpt2 takes both");
  const std::vector<LazyTensor> tensors = to_gpt2(o, model.tensors, "transformer.", /*transposed=*/false, /*with_bias=*/false);
  PtWriter out;
  const auto entry = [&out](const char* name, int64_t value) {
    out.text(name);
    out.integer(value);
  };
  const auto add = [&](const std::string& name, const LazyTensor& tensor) {
    out.text(name);
    out.tensor({name, dtype == at::kFloat ? "F32" : "BF16", tensor.shape, [&tensor, dtype](const ByteSink& sink) {
                  const at::Tensor numbers = tensor.read().to(dtype);
                  sink(numbers.const_data_ptr(), numbers.nbytes());
                }});
  };
  out.begin_dict();
  out.text("model");
  out.begin_dict();
  for (const LazyTensor& tensor : tensors) add(tensor.name, tensor);
  add("lm_head.weight", tensors.front());  // the embedding: nanoGPT's state_dict has both
  out.end_dict();
  out.text("model_args");
  out.begin_dict();
  entry("n_layer", o.layers);
  entry("n_head", o.heads);
  entry("n_embd", o.width);
  entry("block_size", o.context);
  entry("vocab_size", o.vocab_size);
  out.text("bias");
  out.boolean(o.bias);
  out.text("dropout");
  out.real(o.dropout);
  out.end_dict();
  entry("iter_num", 0);
  out.text("best_val_loss");
  out.real(1e9);  // where nanoGPT starts
  out.text("config");
  out.begin_dict();
  out.end_dict();
  out.end_dict();

  const std::string temporary = temporary_path(folder_of(target), name_of(target));
  out.write(temporary);
  put_file_into_place(temporary, target);
}

}  // namespace aot
