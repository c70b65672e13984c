// SPDX-License-Identifier: Apache-2.0
// The benches that compare our way with LibTorch's on the same tensors: one file each.
#pragma once

#include "apps/command.h"

namespace aot {

void add_bench_attention(CLI::App& bench, GeneralOptions& general);
void add_bench_linear(CLI::App& bench, GeneralOptions& general);
void add_bench_head(CLI::App& bench, GeneralOptions& general);
void add_bench_images(CLI::App& bench, GeneralOptions& general);

}  // namespace aot
