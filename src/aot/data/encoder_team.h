// SPDX-License-Identifier: Apache-2.0
// Encoding by several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "aot/data/documents.h"
#include "aot/data/tokenizer.h"

namespace aot {

/// Length of the first part of `text` that can be encoded apart: at most `wanted` bytes, more where the tokenizer knows no place to cut.
size_t safe_length(const Tokenizer& tokenizer, std::string_view text, size_t wanted);

/// Long texts are cut where the tokenizer says that it is safe, so the ids are the same whatever the number of threads.
class EncoderTeam {
 public:
  /// `tokenizer` must outlive this.
  EncoderTeam(const Tokenizer& tokenizer, int64_t threads);

  /// Gives the ids of the parts in order to `take`, some at a time; those of `separator` come before each part that starts a document.
  /// Throws what the tokenizer throws for the first text that it refuses; its place counts from where that text was cut.
  void encode(const std::vector<TextPart>& parts, const std::vector<int32_t>& separator,
              const std::function<void(const std::vector<int32_t>&)>& take);

 private:
  struct Task {
    std::vector<TextPart> parts;
    std::vector<int32_t> ids;
    std::exception_ptr error;
  };
  void divide(const std::vector<TextPart>& parts);
  static void run(Task& task, Encoder& encoder, const std::vector<int32_t>& separator);

  const Tokenizer& tokenizer_;
  size_t threads_;                                  // at most
  std::vector<std::unique_ptr<Encoder>> encoders_;  // one for each thread that was ever of use
  std::vector<Task> tasks_;                         // kept for their memory; the first task_count_ are in use
  size_t task_count_ = 0;
};

/// The ids of one text. Throws as Tokenizer::encode.
std::vector<int32_t> encode_by_threads(const Tokenizer& tokenizer, std::string_view text, int64_t threads);

}  // namespace aot
