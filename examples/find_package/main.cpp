// SPDX-License-Identifier: Apache-2.0
// One layer on the paper's own tokens, by the installed library: what lies in the subspaces grows, the noise stays.
//
//   -> snr 1.090 times as large in every cluster
#include <cmath>
#include <cstdio>

#include "aot/theory/denoise.h"

int main() {
  const aot::DenoiseOptions options{.tokens = {.tokens = 256, .heads = 4, .head_dim = 96, .delta = 0.02}, .layers = 1};
  aot::TokenSample sample = aot::sample_tokens(options.tokens, /*seed=*/1);
  bool expected = true;
  aot::run_layers(sample, options, [&](const aot::LayerRecord& record) {
    for (const double ratio : record.ratio) expected = expected && std::abs(ratio - 1.09) < 1e-9;  // 1 + eta tau
    std::printf("snr %.3f times as large in every cluster\n", record.ratio.front());
    return true;
  });
  return expected ? 0 : 1;
}
