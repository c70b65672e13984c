// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "aot/io/error.h"

namespace aot {

/// A NaN or an infinity where numbers are needed; `what_failed` follows "non-finite: ".
class NonFiniteError : public Error {
 public:
  explicit NonFiniteError(const std::string& what_failed) : Error(ExitCode::failed, "non-finite: " + what_failed) {}
};

}  // namespace aot
