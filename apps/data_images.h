// SPDX-License-Identifier: Apache-2.0
// The parts of `aot data` that are about images.
#pragma once

#include <string>

#include "aot/data/image_prepare.h"
#include "apps/command.h"

namespace aot {

void describe(Fields& fields, ImagePrepareOptions& options);
void run_prepare_images(const ImagePrepareOptions& options, const GeneralOptions& general);
/// aot data make.
void add_make_images(Subcommand& command);
/// `sheet` names a PNG to write with the first training images, or is empty.
void run_inspect_images(const std::string& path, const std::string& sheet, const GeneralOptions& general);

}  // namespace aot
