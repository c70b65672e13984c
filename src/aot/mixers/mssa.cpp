// SPDX-License-Identifier: Apache-2.0
#include "aot/mixers/softmax_attention.h"

namespace aot {

MixerPtr make_mssa(const MixerOptions& options, at::Generator& generator) {
  return make_softmax_attention(Projection::subspace, options, generator);
}

}  // namespace aot
