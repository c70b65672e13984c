// SPDX-License-Identifier: Apache-2.0
// TensorBoard's event files: records of Event messages (tensorflow/core/util/event.proto), of which we write scalars.
// A file is event_file_start and then scalar_event after scalar_event, appended: cut back to a length it had before, it is whole again.
// TensorBoard reads files whose name holds "tfevents".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace aot {

/// What a file begins with. `wall_time`: seconds since 1970.
std::string event_file_start(double wall_time);

/// One value under a tag such as "train/loss", as a float32, for a step.
std::string scalar_event(std::string_view tag, int64_t step, double wall_time, double value);

/// A record: its length and that length's checksum, the data and its checksum, little-endian (TFRecord).
std::string event_record(std::string_view data);

/// CRC-32C, turned right by 15 bits and moved, as TFRecord keeps it.
uint32_t masked_crc32c(std::string_view data);

}  // namespace aot
