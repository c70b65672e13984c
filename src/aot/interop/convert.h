// SPDX-License-Identifier: Apache-2.0
// Models from one program's files into another's (docs/interop.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aot/interop/compare.h"
#include "aot/interop/foreign_model.h"

namespace aot {

struct ConvertOptions {
  std::string from = "aot";       // aot, nanogpt, gpt2, transformerlens, crate, tost
  std::string to = "aot";         // aot, hf, gpt2, nanogpt
  std::string source, target;     // paths
  std::string dtype = "float32";  // of the tensors written; float32, bfloat16
  int64_t heads = 0;              // of a crate without a published width
  bool verify = false;
};

struct Conversion {
  std::string task;  // "language", "vision"
  int64_t tensors = 0, parameters = 0;
  bool has_tokenizer = false;
  std::optional<LogitDifference> difference{};  // with `verify`
  double bound = 0;                             // that its relative() must keep: 1e-5 for float32, 0.05 for bfloat16
  [[nodiscard]] bool holds() const { return !difference || difference->relative() <= bound; }
};

/// Reads, writes, and with `verify` reads back. Nothing is overwritten: the target must not exist. Tensors pass one at a time. Nothing when
/// a stop signal came before all was written: then nothing is left.
std::optional<Conversion> convert(ConvertOptions options);

/// The writers. `model` is of a language model for all but write_aot.
void write_aot(const ForeignModel& model, const std::string& target, at::ScalarType dtype);
/// A checkpoint of ours that transformers opens too: our modelling code goes with it.
void write_hf(const ForeignModel& model, const std::string& target, at::ScalarType dtype);
/// A folder of transformers' GPT2LMHeadModel. Throws UsageError for a model of another kind, like write_nanogpt.
void write_gpt2(const ForeignModel& model, const std::string& target, at::ScalarType dtype);
void write_nanogpt(const ForeignModel& model, const std::string& target, at::ScalarType dtype);

/// A file that is compiled in from interop/hf/.
struct HfFile {
  std::string name, text;
};
const std::vector<HfFile>& hf_files();

}  // namespace aot
