// SPDX-License-Identifier: Apache-2.0
// The paper's theorem on one sample of its own tokens: 256 tokens near 4 subspaces of dimension 48, noise 0.05. Prints for every layer the
// least weight of an own token, the largest of a stranger, and the factor by which the signal-to-noise ratio grew.
//
//   build/release/examples/example_certify
//   -> 13 layers verified, each ratio 1.09 = 1 + eta tau to within 1e-9; the prediction is that layer 20 is the last
#include <cstdio>

#include "aot/theory/certificate.h"

int main() {
  const aot::DenoiseOptions options{
      .tokens = {.tokens = 256, .heads = 4, .head_dim = 48, .delta = 0.05}, .layer = {.eta = 0.1, .tau = 0.9}, .layers = 13};
  const aot::Certificate certificate = aot::certify(options, 1);
  for (const aot::LayerVerdict& layer : certificate.layers)
    std::printf("layer %2lld  own %.6f  stranger %.6f  ratio %.12f  %s\n", static_cast<long long>(layer.record.layer),
                layer.record.mask->own_min, layer.record.mask->off_max, layer.record.ratio[0], aot::verdict_text(layer.verdict));
  std::printf("predicted to hold for %lld layers\n", static_cast<long long>(certificate.prediction.layers.value_or(-1)));
  return certificate.verified_layers() == 13 ? 0 : 1;
}
