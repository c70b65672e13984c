// SPDX-License-Identifier: Apache-2.0
// What the files of `aot theory` share.
#pragma once

#include "apps/command.h"

namespace aot {

/// --seed, or a fresh one, which is told.
uint64_t first_seed(const GeneralOptions& general);

void add_probe(Subcommand& command);

}  // namespace aot
