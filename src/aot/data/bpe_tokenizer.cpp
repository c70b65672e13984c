// SPDX-License-Identifier: Apache-2.0
#include "aot/data/vocabulary.h"
#include "aot/io/error.h"

namespace aot {

TokenizerPtr make_bpe_tokenizer(TokenizerFile /*file*/) {
  throw Error(ExitCode::failed, "byte-pair tokenizers are not supported yet");
}

}  // namespace aot
