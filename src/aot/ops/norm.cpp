// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/norm.h"

#include <ATen/ops/layer_norm.h>
#include <ATen/ops/rms_norm.h>

namespace aot {

at::Tensor layer_norm(const at::Tensor& z, const at::Tensor& weight, const at::Tensor& bias) {
  return at::layer_norm(z, weight.sizes(), weight, bias, kNormEpsilon, /*cudnn_enable=*/false);
}

at::Tensor rms_norm(const at::Tensor& z, const at::Tensor& weight) {
  return at::rms_norm(z, weight.sizes(), weight, kNormEpsilon);
}

}  // namespace aot
