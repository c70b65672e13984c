// SPDX-License-Identifier: Apache-2.0
// What a run says about itself while it trains: RUN/metrics.jsonl, RUN/metrics.csv, and the same for TensorBoard (docs/train.md lists the
// columns).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aot/io/json.h"

namespace aot {

/// A file that only grows. A row that cannot be written whole is taken back, with one warning until writing works again: a full disk does
/// not end a run.
class AppendFile {
 public:
  /// Opens or creates `path` and cuts it to `length` bytes.
  AppendFile(std::string path, uint64_t length);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  void append(const std::string& row);
  void sync();
  [[nodiscard]] uint64_t length() const { return length_; }

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t length_ = 0;
  bool warned_ = false;
};

/// One logged step. Rates are since the row before.
struct StepRow {
  int64_t step = 0;  // updates done
  double loss = 0;   // mean over the step's batch, before its update
  double lr = 0;
  double gradient_norm = 0;  // before clipping
  int64_t units = 0;         // tokens, or whatever the task counts, seen by the run
  double seconds = 0;        // trained by the run
  double units_per_s = 0;
  double data_wait = 0;      // share of the time that steps waited for their batch
  double peak_share = 0;     // model FLOP/s over what the multiply-adds of the processor reach (ops/ceilings.h)
  int64_t memory_bytes = 0;  // largest resident so far
  double fallbacks = 0;      // share of heads that a guard of the attention kernels sent the slower way (docs/kernels.md)
};

struct LogLengths {
  uint64_t jsonl = 0;
  uint64_t csv = 0;
  uint64_t events = 0;
};

class MetricsLog {
 public:
  /// Opens the files of a run folder, cut back to `lengths`. `unit` and `counted` are the task's words (train/task.h). `on_row` gets each
  /// row as a line of JSON too; it may be empty.
  MetricsLog(const std::string& folder, const LogLengths& lengths, std::string unit = "tokens", std::string counted = "windows",
             std::function<void(const std::string& line)> on_row = {});

  void step(const StepRow& row);
  /// `more`: further numbers of the evaluation, which stand in metrics.jsonl only.
  void validation(int64_t step, double loss, int64_t count, bool best, const std::vector<std::pair<std::string, double>>& more = {});
  void sample(int64_t step, const std::string& text);
  /// Puts the rows on disk; returns where they end.
  LogLengths sync();

 private:
  [[nodiscard]] std::string csv_row(const Json& row) const;
  void write(const Json& row);

  void scalar(std::string_view tag, int64_t step, double value);

  std::string unit_, counted_;
  std::vector<std::string> columns_;
  AppendFile jsonl_, csv_, events_;
  std::function<void(const std::string&)> on_row_;
};

}  // namespace aot
