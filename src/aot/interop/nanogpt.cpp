// SPDX-License-Identifier: Apache-2.0
// nanoGPT's checkpoints: {"model": state_dict, "model_args": {...}, ...}, with "_orig_mod." before every name when the model was compiled;
// and those of ToST's language models, which are nanoGPT's with gammas, and with token statistics where model_args say "TSSA".
#include <filesystem>
#include <optional>

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

std::string file_at(const std::string& path) {
  const std::filesystem::path given(path);
  return std::filesystem::is_directory(given) ? (given / "ckpt.pt").string() : path;
}

ForeignModel read_checkpoint(const std::shared_ptr<const PtFile>& file, const PickleValue& arguments, Gpt2Shape shape) {
  const std::shared_ptr<const NamedTensors> tensors =
      open_state_dict(file, member_of(*file, file->root(), "model"), {"_orig_mod.", "module."});
  shape.prefix = "transformer.";
  shape.head = kEmbedding;
  LanguageOptions options;
  options.heads = count_of(*file, arguments, "n_head");
  // nanoGPT ties the head; a fork that does not has other numbers there.
  if (tensors->has(kHead) && tensors->has(kEmbedding) && !tensors->stored_once(kHead, kEmbedding)) {
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

/// A picture's way through ToST's vision models starts with convolutions and batch norms and ends with class attention.
void refuse_vision(const PtFile& file) {
  constexpr const char* kStem = "patch_embed.proj.0.0.weight";
  const PickleValue root = file.root();
  const std::optional<PickleValue> inside = root.member("model");
  if (root.member(kStem) || (inside && inside->member(kStem)))
    throw FileError(file.path(), str("tensor '", kStem, "'"),
                    "a vision model of ToST, whose convolutions and class attention no model here has",
                    "--from tost reads language models");
}

}  // namespace

ForeignModel read_nanogpt(const std::string& path) {
  const auto file = std::make_shared<const PtFile>(file_at(path));
  return read_checkpoint(file, member_of(*file, file->root(), "model_args"), {});
}

ForeignModel read_tost(const std::string& path) {
  const auto file = std::make_shared<const PtFile>(file_at(path));
  refuse_vision(*file);
  const PickleValue arguments = member_of(*file, file->root(), "model_args");
  const auto member = arguments.member("TSSA");
  const std::optional<bool> tssa = member ? member->boolean() : std::nullopt;
  if (!tssa)
    throw FileError(file->path(), "key 'model_args.TSSA'", "needs true or false: not a checkpoint of ToST", "is it --from nanogpt?");
  return read_checkpoint(file, arguments, {.steps = true, .tssa = *tssa});
}

}  // namespace aot
