// SPDX-License-Identifier: Apache-2.0
// aot inspect --diff: two models, tensor by tensor.
#pragma once

#include <string>

namespace aot {

/// Prints what differs between the tensors of two checkpoints, run folders or files. Throws Error (exit 1) when something does.
void inspect_diff(const std::string& a, const std::string& b, bool json);

}  // namespace aot
