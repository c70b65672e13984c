// SPDX-License-Identifier: Apache-2.0
// The one interface of token mixers. A mixer takes tokens (B, T, D), already normalised by the block, and returns the update of the same
// shape; residual sum, step size and normalisation belong to the block (docs/mixers.md).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include "aot/core/parameters.h"
#include "aot/ops/rotary.h"
#include "aot/ops/taps.h"

namespace aot {

enum class Output { tied, untied };  // heads return through U_k^T, or through a free W_o
enum class Gate { none, silu };      // heads' output times silu(x W_g) before the output projection (ours, not the paper's)

/// What a mixer is built from. `width` is D, `heads` K, `head_dim` P (free of D / K).
struct MixerOptions {
  int64_t width = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t context = 0;  // most tokens it must take, for mixers whose parameters depend on it
  Output output = Output::untied;
  Gate gate = Gate::none;
  bool rotary = false;
  TokenGrid grid;  // of `rotary`: positions of a picture instead of 0, 1, 2, ...; empty: those of a sequence
  bool bias = false;
  double dropout = 0;  // on the update
  int64_t layers = 1;  // depth of the stack: output projections start at N(0, 0.02 / sqrt(2 L))
  bool causal = true;  // how it will be used: parameters of some mixers depend on it
};

/// What a mixer can do, stated once; the command line, the documentation, the refusals and the tests read it.
struct Capabilities {
  bool causal = false;
  bool bidirectional = false;
  bool key_mask = false;         // takes a mask of real tokens
  bool mask = false;             // takes a mask of who may read whom
  bool decode = false;           // token by token with a state
  bool truncate = false;         // that state can be cut back to any number of tokens, not only to none
  bool any_length = false;       // not bound to MixerOptions::context
  bool operator_matrix = false;  // can show its frozen (B, K, T, T) mixing operator
  bool permutation = false;      // equivariant over tokens without mask and positions
  bool rotary = false;
  bool tied_output = false;
  bool gate = false;
  std::string equation;  // one line
  std::string cost;      // time and decode memory, e.g. "O(B K T^2 P) time, T K P floats of state"
};

struct MixerInput {
  at::Tensor x;         // (B, T, D)
  at::Tensor key_mask;  // (B, T) bool, true = real token; undefined when all are
  at::Tensor mask;      // bool, true = token (row) may read token (column), (T, T) or (B or 1, K or 1, T, T); undefined: any
  bool causal = true;
  bool training = false;  // dropout draws from `generator`
  std::optional<at::Generator> generator;
  TapScope taps;
};

/// The memory of a mixer while it decodes: made once for (batch, max_tokens), filled by `step`.
class DecodeState {
 public:
  virtual ~DecodeState() = default;
  [[nodiscard]] virtual int64_t tokens() const = 0;  // held so far
  [[nodiscard]] virtual int64_t bytes() const = 0;   // allocated
  virtual void truncate(int64_t tokens) = 0;         // forget all but the first `tokens`; see Capabilities::truncate
  virtual void reorder(const at::Tensor& rows) = 0;  // row i becomes row rows[i]; rows (B,) int64
};

class Mixer {
 public:
  virtual ~Mixer() = default;
  [[nodiscard]] virtual const Capabilities& capabilities() const = 0;
  /// Its parameters, names relative to the mixer ("u", "w_out").
  [[nodiscard]] virtual Parameters parameters() const = 0;
  /// The update (B, T, D). Throws c10::ValueError, naming mixer and capability, before any work when asked for what it cannot do.
  [[nodiscard]] virtual at::Tensor forward(const MixerInput& input) const = 0;

  /// An empty state. Its dtype and device are those of the parameters.
  [[nodiscard]] virtual std::unique_ptr<DecodeState> make_state(int64_t batch, int64_t max_tokens) const = 0;
  /// The update of n >= 1 new tokens x (B, n, D) that follow those in `state`, causal; adds them to it.
  [[nodiscard]] virtual at::Tensor step(const at::Tensor& x, DecodeState& state) const = 0;

  /// Frozen mixing operator (B, K, T, T): row t holds the weights with which token t reads.
  [[nodiscard]] virtual at::Tensor operator_matrix(const MixerInput& input) const = 0;
  /// Multiply-adds times two of one forward pass over B x T tokens, causal work counted exactly.
  [[nodiscard]] virtual int64_t forward_flop(int64_t batch, int64_t tokens, bool causal) const = 0;
  [[nodiscard]] virtual int64_t state_bytes(int64_t batch, int64_t tokens, int64_t bytes_per_number) const = 0;
};

using MixerPtr = std::unique_ptr<Mixer>;

/// A row of the catalogue (catalogue.def).
struct MixerEntry {
  std::string name;
  std::string source;  // authors, year, equation
  MixerPtr (*make)(const MixerOptions&, at::Generator&);
};

const std::vector<MixerEntry>& mixer_catalogue();

/// Builds a mixer by name; weights N(0, 0.02), output projection N(0, 0.02 / sqrt(2 L)), drawn from `generator` in the order of
/// `parameters()`. Throws UsageError on an unknown name (listing the known ones) or options that the mixer refuses.
MixerPtr make_mixer(std::string_view name, const MixerOptions& options, at::Generator& generator);

/// For mixers: throws UsageError when an option that it does not have is asked for.
void refuse(bool unsupported, std::string_view mixer, std::string_view what);
/// For mixers: throws c10::ValueError when `input` asks for what `can` does not have.
void check_input(const Capabilities& can, std::string_view mixer, const MixerInput& input);

}  // namespace aot
