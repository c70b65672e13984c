// SPDX-License-Identifier: Apache-2.0
// Vocabulary and merges of a byte-level BPE as plain, checked data: every id is in range and every byte has a token.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace aot {

/// Two neighbouring tokens that become one.
struct BpeMerge {
  int32_t left = 0, right = 0, result = 0;
};

struct BpeFiles {
  std::vector<std::string> tokens;  // by id: the bytes it stands for (GPT-2's printable alphabet undone); the text of a special token
  std::vector<BpeMerge> merges;     // in order of rank, strongest first
  std::vector<int32_t> special;     // ids, ascending, that no text encodes to unless asked, e.g. that of <|endoftext|>
  std::vector<int32_t> added;       // ids, ascending, of other tokens that are found in a text before it is split
  std::vector<int32_t> normalized;  // ids, ascending, among both: found after the others
};

/// FOLDER/encoder.json + FOLDER/vocab.bpe, or vocab.json + merges.txt. A token that is neither a byte nor the result of a merge is special.
///   Throws FileError: `no token for id`, `used by`, `id must be`, `no token for byte`, `merge N: ...`.
BpeFiles read_bpe_files(const std::string& folder);

/// The same from text; the paths only name the files in messages.
BpeFiles parse_bpe_files(std::string_view vocabulary, const std::string& vocabulary_path, std::string_view merges,
                         const std::string& merges_path);

/// `bytes` in GPT-2's printable alphabet, in which vocabulary files are written, e.g. " a" -> "Ġa".
std::string to_byte_alphabet(std::string_view bytes);
/// The bytes that such a text stands for; false when a character is not of that alphabet.
bool from_byte_alphabet(std::string_view text, std::string& bytes);

}  // namespace aot
