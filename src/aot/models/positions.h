// SPDX-License-Identifier: Apache-2.0
// Positions that are added to tokens, and fixed tables of them.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "aot/ops/rotary.h"

namespace aot {

enum class Position { none, learned, sincos };  // of a sequence, added to the embedding

/// Fixed sine-cosine positions (tokens, width): even columns sin(t w_i), odd columns cos(t w_i), w_i = 10000^(-2 i / width).
/// [Vaswani et al. 2017, section 3.5]
at::Tensor sincos_positions(int64_t tokens, int64_t width);

/// The same for a picture (tokens, width): the row's table of half the width, then the column's; leading tokens have 0. `width` is a
/// multiple of 4.   [He et al. 2022, appendix A.1]
at::Tensor sincos_positions(const TokenGrid& grid, int64_t width);

}  // namespace aot
