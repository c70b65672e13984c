// SPDX-License-Identifier: Apache-2.0
#include "aot/io/toml.h"

#include <cmath>

#include "tests/fuzz/target.h"

namespace {

using namespace aot;

bool same(const Value& a, const Value& b) {
  const auto* x = std::get_if<double>(&a);
  const auto* y = std::get_if<double>(&b);
  return x != nullptr && y != nullptr && std::isnan(*x) ? std::isnan(*y) : a == b;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<TomlEntry> entries;
  if (!accepted([&] { entries = parse_toml(text_of(data, size), "run.toml"); })) return 0;
  for (const TomlEntry& entry : entries) {
    const auto again = parse_toml("x = " + toml_text(entry.value), "run.toml");
    require(again.size() == 1 && same(again[0].value, entry.value), "reading undoes writing");
  }
  return 0;
}
