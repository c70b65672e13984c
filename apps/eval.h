// SPDX-License-Identifier: Apache-2.0
// What the files of `aot eval` share.
#pragma once

#include <optional>
#include <string>

#include "aot/io/json.h"
#include "apps/command.h"

namespace aot {

void add_language_evaluations(Subcommand& command);
void add_picture_evaluations(Subcommand& command);
void add_segmentation(Subcommand& command);

template <class T>
Json or_null(const std::optional<T>& value) {
  return value.has_value() ? Json(*value) : Json(nullptr);
}

/// "12.34 %" of a share, "1.2345" of a number, "-" of none.
std::string percent_text(const std::optional<double>& share);
std::string number_text(const std::optional<double>& number);

}  // namespace aot
