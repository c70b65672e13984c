// SPDX-License-Identifier: Apache-2.0
#include "aot/theory/lists.h"

#include <cmath>
#include <sstream>

#include "aot/io/error.h"

namespace aot {

std::vector<std::string> list_items(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string item; std::getline(in, item, ',');) out.push_back(item);
  return out;
}

double list_number(const std::string& item, const char* flag) {
  size_t end = 0;
  double value = 0;
  try {
    value = std::stod(item, &end);
  } catch (const std::exception&) {
    end = 0;
  }
  if (end == 0 || end != item.size() || !std::isfinite(value))
    throw UsageError(str("--", flag, ": '", escaped(item), "' is not a number"), "give numbers with commas between them");
  return value;
}

std::vector<double> list_numbers(const std::string& text, const char* flag) {
  std::vector<double> out;
  for (const std::string& item : list_items(text)) out.push_back(list_number(item, flag));
  return out;
}

}  // namespace aot
