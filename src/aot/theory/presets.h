// SPDX-License-Identifier: Apache-2.0
// The runs that docs/theory.md talks about, by name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aot/theory/denoise.h"

namespace aot {

struct TheoryPreset {
  std::string name, summary;
  DenoiseOptions options;
};

/// Several rows may share a name and differ in delta: the first is the preset, the others are what it becomes at their delta.
const std::vector<TheoryPreset>& theory_presets();

/// The row of that name, at that delta when there is one. Throws UsageError naming the nearest known name.
const TheoryPreset& find_theory_preset(std::string_view name, std::optional<double> delta);

}  // namespace aot
