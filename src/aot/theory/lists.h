// SPDX-License-Identifier: Apache-2.0
// Lists in flags: values with commas between them.
#pragma once

#include <string>
#include <vector>

namespace aot {

std::vector<std::string> list_items(const std::string& text);

/// The number that `item` is as a whole. Throws UsageError naming the flag when it is none, or not finite.
double list_number(const std::string& item, const char* flag);

/// All of them.
std::vector<double> list_numbers(const std::string& text, const char* flag);

}  // namespace aot
