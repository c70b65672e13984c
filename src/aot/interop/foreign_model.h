// SPDX-License-Identifier: Apache-2.0
// A model of another program as ours: settings, and our tensors made from its own.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>

#include "aot/core/tensor_file.h"
#include "aot/interop/named_tensors.h"
#include "aot/models/language.h"
#include "aot/models/vision.h"

namespace aot {

/// Numbers of one foreign tensor on their way into ours.
struct Piece {
  std::string name;
  std::vector<int64_t> shape;                             // that it must have
  std::function<at::Tensor(const at::Tensor&)> turned{};  // into our order; empty: as it is
};

/// The way of every tensor of ours from a foreign file. What is taken from it is checked when it is added, what is left at the end.
class TensorMap {
 public:
  explicit TensorMap(std::shared_ptr<const NamedTensors> from) : from_(std::move(from)) {}
  /// Our tensor is the pieces on top of each other. Throws FileError: `missing tensor`, `needs`.
  void add(const std::string& name, std::vector<Piece> pieces);
  /// A tensor that the file does not have, of one value.
  void add_constant(const std::string& name, std::vector<int64_t> shape, double value);
  /// A foreign tensor that is no parameter of the model, such as a causal mask.
  void ignore(const std::string& foreign) { used_.insert(foreign); }
  /// The same for one that is zeros in every model as we have them. Throws FileError with these words when it holds anything else.
  void ignore_zeros(const std::string& foreign, const char* problem, const char* what_to_do);
  /// The tensors in the order of `expected`. Throws FileError: `unexpected tensor` for one of the file that was neither added nor ignored.
  std::vector<LazyTensor> finish(const Parameters& expected);

 private:
  std::shared_ptr<const NamedTensors> from_;
  std::set<std::string> used_;
  std::vector<LazyTensor> tensors_;
};

struct ForeignModel {
  std::variant<LanguageOptions, VisionOptions> options;
  std::vector<LazyTensor> tensors;  // all that a model of these options has, under our names
  std::string tokenizer_json;       // empty: it has none that we read
  /// Logits by the other program's own formulas from its own tensors: of ids (B, T) -> (B, T, V), of images (B, C, H, W) -> (B, classes).
  std::function<at::Tensor(const at::Tensor&)> logits;
};

/// nanoGPT's ckpt.pt, or the folder that holds it.   [Karpathy, nanoGPT: model.py, train.py]
ForeignModel read_nanogpt(const std::string& path);
/// The same of ToST's language models, with token statistics or with attention.   [Wu et al. 2025: tost_lang]
ForeignModel read_tost(const std::string& path);
/// A folder of transformers' GPT2LMHeadModel: config.json, model.safetensors or shards, tokenizer files.
ForeignModel read_gpt2(const std::string& path);
/// A state_dict (.pt, .pth, .safetensors) of an attention-only HookedTransformer with LayerNorm and standard positions.
ForeignModel read_transformer_lens(const std::string& path);
/// A checkpoint of CRATE's code. Its heads stand in no tensor: 0 takes those of the published width.   [Yu et al. 2023]
ForeignModel read_crate(const std::string& path, int64_t heads);
/// One of ours, to export it.
ForeignModel read_ours(const std::string& path);

}  // namespace aot
