// SPDX-License-Identifier: Apache-2.0
#include "aot/mixers/softmax_attention.h"

namespace aot {

MixerPtr make_mhsa(const MixerOptions& options, at::Generator& generator) {
  return make_softmax_attention(Projection::free, options, generator);
}

}  // namespace aot
