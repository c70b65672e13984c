// SPDX-License-Identifier: Apache-2.0
#include "aot/io/utf8.h"

#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace aot;
  const std::string_view text = text_of(data, size);
  std::string again;
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Char c = decode_utf8(text, at);
    if (!c.valid) break;
    require(c.code <= 0x10ffff && (c.code < 0xd800 || c.code > 0xdfff), "only scalar values are decoded");
    append_utf8(again, c.code);
    at += c.bytes;
    require(again == text.substr(0, at), "encoding undoes decoding");
  }
  require(find_invalid_utf8(text) == (at == text.size() ? std::string_view::npos : at), "the first invalid byte is where decoding stops");
  const size_t prefix = complete_utf8_prefix(text);
  require(prefix <= text.size() && text.size() - prefix <= 3, "at most three bytes are held back");
  if (at == text.size()) require(prefix == at, "valid text is printed whole");
  const std::string shown = escaped(text, 100);
  require(shown.size() <= 103 && find_invalid_utf8(shown) == std::string_view::npos, "escaped text is short and valid");
  for (const char c : shown) require(static_cast<uint8_t>(c) >= 0x20 && c != 0x7f, "escaped text holds no control character");
  return 0;
}
