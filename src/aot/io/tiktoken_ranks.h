// SPDX-License-Identifier: Apache-2.0
// tiktoken's rank files: a line for each token, its bytes in base64 and its rank, which is its id.
#pragma once

#include <string>
#include <string_view>

#include "aot/io/tokenizer_json.h"

namespace aot {

/// A byte-level BPE: each way to join two tokens into one is a merge, in the order of the joined token's rank, then of its parts' ranks,
/// and a piece that is a token as a whole is that token. These are tiktoken's ids. The file names no special tokens; <|endoftext|> is given
/// the id after the last rank, which is GPT-2's.
///   Throws FileError: `line N: ...`, `no token for id`, `used by`, `no token for byte`.
TokenizerFile read_tiktoken_ranks(const std::string& path, SplitKind split);
TokenizerFile parse_tiktoken_ranks(std::string_view text, const std::string& path, SplitKind split);

}  // namespace aot
