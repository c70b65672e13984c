// SPDX-License-Identifier: Apache-2.0
// Mixers with numbers written down in a test.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <ATen/ops/tensor.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/mixers/mixer.h"

namespace aot::test {

/// Rows of numbers as a matrix, float64.
inline at::Tensor matrix(const std::vector<std::vector<double>>& rows) {
  std::vector<double> numbers;
  for (const auto& row : rows) numbers.insert(numbers.end(), row.begin(), row.end());
  return at::tensor(numbers, at::kDouble).view({static_cast<int64_t>(rows.size()), -1});
}

/// The mixer in float64 with these parameters, by name; every one must be given.
inline MixerPtr mixer_with(const std::string& name, const MixerOptions& options, const std::map<std::string, at::Tensor>& numbers) {
  at::Generator generator = make_generator(1);
  MixerPtr mixer = make_mixer(name, options, generator);
  for (const Parameter& parameter : mixer->parameters()) {
    at::Tensor value = parameter.value;
    EXPECT_EQ(value.sizes(), numbers.at(parameter.name).sizes()) << parameter.name;
    value.set_data(numbers.at(parameter.name));
  }
  return mixer;
}

}  // namespace aot::test
