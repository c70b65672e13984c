// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

namespace aot {

/// Inverted dropout: keeps each number with probability 1 - rate, scaled by 1 / (1 - rate), drawn from `generator`.
/// A rate of 0 returns x itself and needs no generator.   [Srivastava et al. 2014]
at::Tensor dropout(const at::Tensor& x, double rate, const std::optional<at::Generator>& generator);

}  // namespace aot
