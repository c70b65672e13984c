// SPDX-License-Identifier: Apache-2.0
// Blocks one behind the other: what models of all tasks have between their embedding and their head.
#pragma once

#include <cstdint>
#include <vector>

#include "aot/models/block.h"

namespace aot {

/// `options.mixing.layers` blocks, each drawn from `generator` after the one before it.
std::vector<Block> make_blocks(const BlockOptions& options, at::Generator& generator);

/// Draws the matrices of blocks anew, N(0, 1 / sqrt(3 fan-in)): the deviation of the framework's linear layers, as in CRATE's code. The
/// N(0, 0.02) of language models is 3.6 times smaller at a width of 64, and small models then spend half of their training on growing.
/// CRATE's dictionaries and TSSA's biases keep their own start.
void draw_by_fan_in(const std::vector<Block>& blocks, at::Generator& generator);

/// How tokens go through a stack, apart from what mixers are told.
struct StackOptions {
  double dropout = 0;  // on the embedding, while training; blocks have their own
  uint64_t dropout_seed = 0;
  bool recompute = false;      // layers keep their input only (models/recompute.h); not with taps
  const Taps* taps = nullptr;  // "embedding" (B, T, D), "layers.N.<place>"
};

/// Embedded tokens z (B, T, D) after all blocks (B, T, D). `input` carries everything for the mixers but x, generator and taps.
at::Tensor through_blocks(const std::vector<Block>& blocks, at::Tensor z, MixerInput input, const StackOptions& options);

/// Their parameters, "layers.N.<name>".
void collect_blocks(const std::vector<Block>& blocks, Parameters& into);

}  // namespace aot
