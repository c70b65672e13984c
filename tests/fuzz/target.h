// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput; it runs under libFuzzer (run.sh) and under replay.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "aot/io/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace aot {

/// A promise that holds for every input; a target that finds it broken ends the process.
inline void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

/// Runs `work`; whether it ended without a FileError. A refusal must be one printable line of at most 300 bytes with a known exit code.
template <class Work>
bool accepted(const Work& work) {
  try {
    work();
    return true;
  } catch (const FileError& error) {
    const std::string_view line = error.what();
    require(line.size() <= 285, "a message fits in 300 bytes with its prefix");
    require(escaped(line, 1000) == line, "a message holds printable text alone");
    require(!error.problem.empty(), "a message says what is wrong");
    require(error.code == ExitCode::bad_file || error.code == ExitCode::usage, "a bad file is no failure of the machine");
    return false;
  }
}

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace aot
