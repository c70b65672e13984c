// SPDX-License-Identifier: Apache-2.0
// Decoding on the kernels of kernels/cpu/decode.h.
#pragma once

#include <memory>

#include "aot/generate/decoder.h"

namespace aot {

/// For models that `decodes_natively`; `options` with nothing left at 0.
std::unique_ptr<DecodePath> make_native_path(const LanguageModel& model, const DecoderOptions& options);

}  // namespace aot
