// SPDX-License-Identifier: Apache-2.0
// What tests of tensors share: seeded inputs, one table of tolerances, finite differences.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

namespace aot::test {

/// Numbers from N(0, 1), float64 rounded to `dtype`, so that dtypes are compared on the same values.
at::Tensor normal(at::IntArrayRef shape, uint64_t seed, at::ScalarType dtype = at::kDouble);

/// Largest |a - b|, both as float64; infinity when a shape differs or a difference is not finite.
double max_difference(const at::Tensor& a, const at::Tensor& b);

constexpr double kEpsilon = 1.1920929e-7;  // of float32

/// What the difference from `exact` may be: twice that of another way in the same format, or `rounding` of the largest number.
double allowed_difference(const at::Tensor& exact, const at::Tensor& other, double rounding = 4 * kEpsilon);

/// Largest |a - b| allowed between two ways of computing the same numbers of size about one.
double tolerance(at::ScalarType dtype);

/// Largest difference between autograd's gradients of sum(f() * fixed random weights) for `inputs` (float64 leaves) and central
/// differences, over every element of every input.
double gradient_error(const std::function<at::Tensor()>& f, const std::vector<at::Tensor>& inputs, double step = 1e-5);

/// Gradients of sum(output * weights) for `inputs`; zeros where an input has no part in it.
std::vector<at::Tensor> gradients(const at::Tensor& output, const at::Tensor& weights, const std::vector<at::Tensor>& inputs);

}  // namespace aot::test
