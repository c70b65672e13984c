// SPDX-License-Identifier: Apache-2.0
// The validation loss that a run watches on the way.
#pragma once

#include <cstdint>

#include "aot/data/token_dataset.h"
#include "aot/models/language.h"

namespace aot {

struct WindowLoss {
  double loss = 0;  // nats per token
  int64_t windows = 0;
};

/// Mean loss, in float32, over `windows` of the file's disjoint windows of a context each: evenly spread and always the same, or all when
/// there are no more. score_text of aot/eval/text.h is the whole evaluation.
/// No windows when a signal asks to stop meanwhile.
WindowLoss mean_loss(const LanguageModel& model, const TokenFile& file, int64_t windows, int64_t batch);

}  // namespace aot
