// SPDX-License-Identifier: Apache-2.0
#include "aot/data/character_class.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>
#include <string>
#include <vector>

#include "aot/io/error.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

constexpr uint32_t kCodes = 0x110000;

// One group per class, in this order. White space is spelt out: PCRE2's \s also holds U+180E.
constexpr char kPattern[] =
    R"(([\p{Lu}\p{Lt}]+)|(\p{Ll}+)|([\p{Lm}\p{Lo}]+)|(\p{M}+)|(\p{N}+)|([\x85\p{Z}]+)|([^\x85\p{Z}\p{L}\p{M}\p{N}]+))";
constexpr CharacterClass kGroups[] = {CharacterClass::upper,  CharacterClass::lower, CharacterClass::letter, CharacterClass::mark,
                                      CharacterClass::number, CharacterClass::space, CharacterClass::other};

/// The code point that starts at `at` of valid UTF-8, and the bytes it has.
struct Decoded {
  uint32_t code;
  uint8_t bytes;
};
Decoded decode_valid(const unsigned char* at) {
  if (at[0] < 0xe0) return {static_cast<uint32_t>(at[0] & 0x1f) << 6 | (at[1] & 0x3fu), 2};
  if (at[0] < 0xf0) return {static_cast<uint32_t>(at[0] & 0x0f) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu), 3};
  return {static_cast<uint32_t>(at[0] & 0x07) << 18 | (at[1] & 0x3fu) << 12 | (at[2] & 0x3fu) << 6 | (at[3] & 0x3fu), 4};
}

/// Classes of all code points, found by one pass of PCRE2 over all of them: about 20 ms, once.
std::vector<CharacterClass> classes_of_all() {
  std::string all;
  for (uint32_t code = 128; code < kCodes; ++code)
    if (code < 0xd800 || code > 0xdfff) append_utf8(all, code);
  const auto fail = [](int error) {
    throw Error(ExitCode::failed, str("PCRE2 cannot tell the classes of characters (error ", error, ")"));
  };
  int error = 0;
  PCRE2_SIZE offset = 0;
  const std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kPattern), sizeof kPattern - 1, PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &offset,
                    nullptr),
      &pcre2_code_free);
  if (!code) fail(error);
  (void)pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // without it matching is slower, no more
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> block(pcre2_match_data_create_from_pattern(code.get(), nullptr),
                                                                                  &pcre2_match_data_free);
  if (!block) throw std::bad_alloc();
  std::vector<CharacterClass> classes(kCodes, CharacterClass::other);
  const auto* bytes = reinterpret_cast<const unsigned char*>(all.data());
  for (size_t at = 0; at < all.size();) {
    const int found = pcre2_match(code.get(), bytes, all.size(), at, PCRE2_NO_UTF_CHECK, block.get(), nullptr);
    const PCRE2_SIZE end = found < 2 ? at : pcre2_get_ovector_pointer(block.get())[1];
    if (end <= at) fail(found);
    while (at < end) {
      const Decoded c = decode_valid(bytes + at);
      classes[c.code] = kGroups[found - 2];
      at += c.bytes;
    }
  }
  return classes;
}

}  // namespace

Character wide_character_at(std::string_view text, size_t at) {
  static const std::vector<CharacterClass> classes = classes_of_all();
  const Decoded c = decode_valid(reinterpret_cast<const unsigned char*>(text.data()) + at);
  return {classes[c.code], c.bytes};
}

}  // namespace aot
