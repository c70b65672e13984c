// SPDX-License-Identifier: Apache-2.0
#include "aot/interop/foreign_model.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <c10/core/InferenceMode.h>

#include "aot/data/tokenizer.h"
#include "aot/io/error.h"
#include "aot/models/checkpoint.h"

namespace aot {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  return aot::str(at::IntArrayRef(shape));
}

}  // namespace

void TensorMap::add(const std::string& name, std::vector<Piece> pieces) {
  for (const Piece& piece : pieces) {
    const std::vector<int64_t>* found = from_->shape(piece.name);
    const std::string place = "tensor '" + escaped(piece.name, 120) + "'";
    if (found == nullptr) throw FileError(from_->path(), place, "missing tensor");
    if (*found != piece.shape)
      throw FileError(from_->path(), place, str("needs the shape ", shape_text(piece.shape), " (found ", shape_text(*found), ")"));
    used_.insert(piece.name);
  }
  tensors_.push_back({name, {}, [from = from_, pieces = std::move(pieces)] {
                        std::vector<at::Tensor> parts;
                        for (const Piece& piece : pieces) {
                          const at::Tensor numbers = from->read(piece.name);
                          parts.push_back(piece.turned ? piece.turned(numbers) : numbers);
                        }
                        return parts.size() == 1 ? parts[0].contiguous() : at::cat(parts, 0);
                      }});
}

void TensorMap::add_constant(const std::string& name, std::vector<int64_t> shape, double value) {
  tensors_.push_back({name, shape, [shape, value] { return at::full(shape, value, at::kFloat); }});
}

void TensorMap::ignore_zeros(const std::string& foreign, const char* problem, const char* what_to_do) {
  if (from_->has(foreign) && from_->read(foreign).count_nonzero().item<int64_t>() != 0)
    throw FileError(from_->path(), "tensor '" + foreign + "'", problem, what_to_do);
  ignore(foreign);
}

std::vector<LazyTensor> TensorMap::finish(const Parameters& expected) {
  for (const std::string& name : from_->names())
    if (used_.count(name) == 0) throw FileError(from_->path(), "tensor '" + escaped(name, 120) + "'", "unexpected tensor");
  std::map<std::string, LazyTensor> ours;
  for (LazyTensor& tensor : tensors_) ours[tensor.name] = std::move(tensor);
  std::vector<LazyTensor> out;
  for (const Parameter& parameter : expected) {
    const auto found = ours.find(parameter.name);
    TORCH_INTERNAL_ASSERT(found != ours.end(), "no way to ", parameter.name);
    LazyTensor& tensor = out.emplace_back(std::move(found->second));
    tensor.shape = parameter.value.sizes().vec();
    tensor.read = [read = std::move(tensor.read), shape = tensor.shape] { return read().reshape(shape); };
  }
  TORCH_INTERNAL_ASSERT(out.size() == tensors_.size(), "tensors without a place in the model");
  return out;
}

ForeignModel read_ours(const std::string& path) {
  const std::string checkpoint = find_checkpoint(path);
  ForeignModel model;
  std::string task = read_model_task(checkpoint);
  Parameters expected;
  if (task == "vision") {
    const VisionOptions options = read_vision_options(checkpoint);
    expected = VisionModel::without_storage(options).parameters();
    model.options = options;
    model.logits = [checkpoint](const at::Tensor& images) {
      const c10::InferenceMode guard;
      return load_vision_model(checkpoint)->logits(images);
    };
  } else {
    const LanguageOptions options = read_model_options(checkpoint);
    expected = LanguageModel::without_storage(options).parameters();
    model.options = options;
    model.logits = [checkpoint](const at::Tensor& ids) {
      const c10::InferenceMode guard;
      const auto loaded = load_model(checkpoint);
      return loaded->logits(loaded->hidden(ids));
    };
  }
  TensorMap map(open_safetensors(checkpoint));
  for (const Parameter& parameter : expected) map.add(parameter.name, {{parameter.name, parameter.value.sizes().vec()}});
  model.tensors = map.finish(expected);
  if (const std::filesystem::path tokenizer = std::filesystem::path(checkpoint) / "tokenizer.json"; std::filesystem::exists(tokenizer))
    model.tokenizer_json = read_tokenizer(tokenizer.string())->to_json();
  return model;
}

}  // namespace aot
