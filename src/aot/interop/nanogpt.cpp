// SPDX-License-Identifier: Apache-2.0
// nanoGPT's checkpoints: {"model": state_dict, "model_args": {...}, ...}, with "_orig_mod." before every name when the model was compiled.
#include <filesystem>

#include <ATen/ops/equal.h>

#include "aot/interop/gpt2_layout.h"
#include "aot/io/error.h"

namespace aot {
namespace {

const std::string kEmbedding = "transformer.wte.weight", kHead = "lm_head.weight";

PickleValue member_of(const PtFile& file, const PickleValue& dict, const char* name) {
  const auto member = dict.member(name);
  if (!member || !member->is_dict()) throw FileError(file.path(), str("key '", name, "'"), "missing: not a checkpoint of nanoGPT");
  return *member;
}

int64_t count_of(const PtFile& file, const PickleValue& arguments, const char* name) {
  const auto member = arguments.member(name);
  const auto value = member ? member->integer() : std::nullopt;
  if (!value || *value < 1) throw FileError(file.path(), str("key 'model_args.", name, "'"), "needs an integer from 1");
  return *value;
}

}  // namespace

ForeignModel read_nanogpt(const std::string& path) {
  const std::filesystem::path given(path);
  const auto file = std::make_shared<const PtFile>(std::filesystem::is_directory(given) ? (given / "ckpt.pt").string() : path);
  const PickleValue root = file->root(), arguments = member_of(*file, root, "model_args");
  const std::shared_ptr<const NamedTensors> tensors = open_state_dict(file, member_of(*file, root, "model"), {"_orig_mod.", "module."});

  Gpt2Shape shape{.prefix = "transformer.", .head = kEmbedding};
  LanguageOptions options;
  options.heads = count_of(*file, arguments, "n_head");
  // nanoGPT ties the head; a fork that does not has other numbers there.
  if (tensors->has(kHead) && tensors->has(kEmbedding)) {
    const bool tied = *tensors->shape(kHead) == *tensors->shape(kEmbedding) && at::equal(tensors->read(kHead), tensors->read(kEmbedding));
    if (!tied) shape.head = kHead;
  }
  ForeignModel model = from_gpt2(tensors, shape, options);
  const auto& found = std::get<LanguageOptions>(model.options);
  const std::pair<const char*, int64_t> counts[] = {
      {"n_layer", found.layers}, {"n_embd", found.width}, {"block_size", found.context}, {"vocab_size", found.vocab_size}};
  for (const auto& [name, value] : counts)
    if (const int64_t said = count_of(*file, arguments, name); said != value)
      throw FileError(file->path(), str("key 'model_args.", name, "'"), str("says ", said, ", the tensors ", value));
  return model;
}

}  // namespace aot
