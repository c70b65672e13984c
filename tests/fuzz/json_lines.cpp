// SPDX-License-Identifier: Apache-2.0
#include "aot/data/json_lines.h"

#include "aot/io/utf8.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace aot;
  std::string text;
  if (accepted([&] { text = text_of_json_line(text_of(data, size), "text", "lines.jsonl"); }))
    require(find_invalid_utf8(text) == std::string_view::npos, "texts are valid UTF-8");
  return 0;
}
