// SPDX-License-Identifier: Apache-2.0
// Decoding: a batch of sequences of equal length, one token of each at a time (docs/generate.md).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aot/kernels/cpu/decode.h"
#include "aot/models/language.h"

namespace aot {

/// `float32`, `bfloat16`, `int8`.
std::vector<std::string> number_format_names();
/// Throws UsageError on another name.
NumberFormat parse_number_format(std::string_view name);

struct DecoderOptions {
  int64_t batch = 1;                            // most sequences at once
  int64_t max_tokens = 0;                       // room of the caches; 0: the model's context
  NumberFormat format = NumberFormat::float32;  // of weights and caches
  bool two_caches = false;                      // keys and values apart even where they are the same rows, to measure what one cache gains
  bool plain = false;                           // always the plain path, for comparisons
};

/// How many sequences of at most `tokens` to decode together: 1 to 32, beyond which more gain little over the products' rate, and as their
/// caches take 1 GiB in all.
int64_t most_sequences(const LanguageModel& model, int64_t tokens, NumberFormat format = NumberFormat::float32);

/// What a decoder holds, and what it reads for one token of each sequence.
struct DecoderBytes {
  int64_t weights = 0;  // packed copies
  int64_t state = 0;    // caches, allocated
  int64_t read = 0;     // weights and filled caches that the next step reads
};

/// One of the two ways to decode; see Decoder.
class DecodePath {
 public:
  virtual ~DecodePath() = default;
  virtual void read(std::span<const int32_t> ids, int64_t count) = 0;
  [[nodiscard]] virtual std::span<const float> logits(int64_t row) const = 0;
  [[nodiscard]] virtual int64_t tokens() const = 0;
  virtual void truncate(int64_t tokens) = 0;
  [[nodiscard]] virtual bool can_truncate() const = 0;
  virtual void reorder(std::span<const int64_t> rows) = 0;  // checked by Decoder
  [[nodiscard]] virtual DecoderBytes bytes() const = 0;
};

/// Softmax models in float32 or bfloat16 on a processor are decoded by kernels of our own: weights packed once, everything allocated here,
/// no LibTorch operator in a step. Everything else goes through Mixer::step, in the model's own numbers. Both give the same within
/// rounding, and callers cannot tell.
///
/// The bits of a sequence depend neither on the other sequences of the batch nor on the number of threads (own kernels only).
/// `model` must outlive this and keep its weights. Not for use from two threads.
class Decoder {
 public:
  /// Throws UsageError for a format other than float32 that the model cannot decode in.
  explicit Decoder(const LanguageModel& model, const DecoderOptions& options = {});

  /// Takes `count` >= 1 more tokens of each sequence, ids (sequences, count), after those held. From an empty state the model's forward
  /// pass reads them at once, own kernels one sequence after the other. Throws c10::ValueError for ids outside the vocabulary and past
  /// max_tokens.
  void read(std::span<const int32_t> ids, int64_t count);
  /// The same for one token each, ids (batch).
  void step(std::span<const int32_t> ids) { read(ids, 1); }

  /// Logits (vocabulary) of what follows in sequence `row`; valid until the next call that changes the state.
  [[nodiscard]] std::span<const float> logits(int64_t row = 0) const { return path_->logits(row); }

  [[nodiscard]] int64_t sequences() const { return sequences_; }  // at first as many as DecoderOptions::batch
  [[nodiscard]] int64_t tokens() const { return path_->tokens(); }
  /// Forgets all but the first `tokens`. Always possible to 0; to any number where `can_truncate`.
  void truncate(int64_t tokens) { path_->truncate(tokens); }
  [[nodiscard]] bool can_truncate() const { return path_->can_truncate(); }
  /// From now on sequence i is what sequence rows[i] was: 1 to `batch` rows, so that sequences are copied or dropped. Logits stay as they
  /// were.
  void reorder(std::span<const int64_t> rows);

  [[nodiscard]] DecoderBytes bytes() const { return path_->bytes(); }
  [[nodiscard]] bool native() const { return native_; }

 private:
  DecoderOptions options_;
  int64_t vocab_size_;
  int64_t sequences_;
  bool native_;
  std::unique_ptr<DecodePath> path_;
};

}  // namespace aot
