// SPDX-License-Identifier: Apache-2.0
// What the files of `aot theory` share.
#pragma once

#include "apps/command.h"

namespace aot {

void add_probe(Subcommand& command);

}  // namespace aot
