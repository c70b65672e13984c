// SPDX-License-Identifier: Apache-2.0
// The family of softmax attention: one mixer, whose projection is either one tied subspace per head (mssa) or free queries, keys and values
// (mhsa). Everything else is shared: rotary positions, gate, output, dropout, caches.
#pragma once

#include "aot/mixers/mixer.h"

namespace aot {

enum class Projection { subspace, free };

MixerPtr make_softmax_attention(Projection projection, const MixerOptions& options, at::Generator& generator);

}  // namespace aot
