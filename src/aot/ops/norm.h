// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

namespace aot {

constexpr double kNormEpsilon = 1e-5;

/// (z - mean) / sqrt(variance + 1e-5) * weight + bias over the last dimension.   [Ba, Kiros, Hinton 2016]
///   z (..., D);  weight (D,);  bias (D,) or undefined.
///   float32 and bfloat16 on the CPU run on kernels of our own (kernels/cpu/norm.h), everything else is at::layer_norm, and so is the
///   second derivative. Kept for backward: z and two numbers a row. Bits do not depend on the number of threads.
at::Tensor layer_norm(const at::Tensor& z, const at::Tensor& weight, const at::Tensor& bias = {});

/// z / sqrt(mean(z^2) + 1e-5) * weight over the last dimension.   [Zhang and Sennrich 2019]   As layer_norm in all else.
at::Tensor rms_norm(const at::Tensor& z, const at::Tensor& weight);

/// A norm and the residual branch beside it: `skip` is z itself. Taking z from here instead of twice adds the branches' gradients in the
/// pass that makes the norm's.
struct NormedTokens {
  at::Tensor x, skip;
};
NormedTokens layer_norm_and_skip(const at::Tensor& z, const at::Tensor& weight, const at::Tensor& bias = {});
NormedTokens rms_norm_and_skip(const at::Tensor& z, const at::Tensor& weight);

/// What a norm's result can be computed from again, all of it kept for backward anyway.
struct NormRecipe {
  at::Tensor z, statistics, weight, bias;  // bias undefined: none
  bool centred = true;
};

/// The recipe of x if x came straight out of one of our norms with a graph behind it. Who needs x in a backward pass keeps this instead.
std::optional<NormRecipe> norm_recipe(const at::Tensor& x);
/// x again, to the bit, in the shape of z; without a graph.
at::Tensor norm_again(const NormRecipe& recipe);
/// x with a graph to z, weight and bias, for second derivatives.
at::Tensor norm_with_graph(const NormRecipe& recipe);

}  // namespace aot
