// SPDX-License-Identifier: Apache-2.0
// Activations computed again in the backward pass instead of kept.   [Chen et al. 2016, arXiv 1604.06174]
#pragma once

#include "aot/models/block.h"

namespace aot {

/// block.forward(z, input), of which only z is kept for backward; the rest is computed again there, to the bit, dropout and autocast
/// included. For a third more work a layer costs D numbers a token, and one layer at a time its usual ones.
///   The backward pass adds the parameters' gradients to their grad(): for training steps, torch::autograd::grad does not see them.
///   `block` must outlive the graph. z must require a gradient, else nothing of the block gets one. No second derivatives, no taps.
at::Tensor recomputed(const Block& block, const at::Tensor& z, const MixerInput& input);

}  // namespace aot
