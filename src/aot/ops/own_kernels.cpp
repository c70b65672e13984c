// SPDX-License-Identifier: Apache-2.0
#include "aot/ops/own_kernels.h"

namespace aot {
namespace {

thread_local int switched_off = 0;

}  // namespace

LibTorchOnly::LibTorchOnly() {
  ++switched_off;
}

LibTorchOnly::~LibTorchOnly() {
  --switched_off;
}

bool own_kernels() {
  return switched_off == 0;
}

}  // namespace aot
