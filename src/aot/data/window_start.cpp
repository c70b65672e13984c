// SPDX-License-Identifier: Apache-2.0
#include "aot/core/random.h"
#include "aot/data/token_dataset.h"
#include "aot/io/error.h"

namespace aot {

int64_t window_start(uint64_t seed, int64_t step, int64_t index, int64_t tokens, int64_t length) {
  if (length < 1 || length > tokens) throw Error(ExitCode::failed, str("window_start: has ", tokens, " tokens, need ", length));
  const uint64_t of_step = derive_seed(seed, "windows of a step", static_cast<uint64_t>(step));
  Random random(derive_seed(of_step, "window", static_cast<uint64_t>(index)));
  return static_cast<int64_t>(random.below(static_cast<uint64_t>(tokens - length) + 1));
}

}  // namespace aot
