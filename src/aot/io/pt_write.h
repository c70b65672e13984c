// SPDX-License-Identifier: Apache-2.0
// Writes files that torch.load opens, also with weights_only: a dictionary of plain values and tensors (io/pt_file.h reads them).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "aot/io/safetensors.h"

namespace aot {

/// Builds the pickle value by value, as it is nested:
///   PtWriter out;
///   out.begin_dict(); out.text("step"); out.integer(12); out.end_dict();
///   out.write(path);
/// Inside a dictionary keys and values alternate.
class PtWriter {
 public:
  void begin_dict();
  void end_dict();
  void text(std::string_view value);
  void integer(int64_t value);
  void real(double value);
  void boolean(bool value);
  /// A contiguous tensor with a storage of its own. Its dtype is one that io/pickle.h knows.
  void tensor(TensorStream tensor);
  /// Writes a new file. Returns its SHA-256.
  std::string write(const std::string& path) const;

 private:
  std::string pickle_ = "\x80\2";
  std::vector<TensorStream> storages_;
};

}  // namespace aot
