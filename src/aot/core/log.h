// SPDX-License-Identifier: Apache-2.0
// Messages and progress for people: always on stderr, never on stdout.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace aot {

enum class Verbosity { quiet, normal, verbose };

void set_verbosity(Verbosity verbosity);
Verbosity verbosity();

/// A line for everybody but --quiet.
void log_info(const std::string& line);
/// A line only for --verbose.
void log_detail(const std::string& line);
/// A line that starts with `warning:`; shown under --quiet too.
void log_warning(const std::string& line);

/// A progress line with rate and time left: redrawn in place on a terminal, a plain line about every ten seconds elsewhere.
/// Says nothing before two seconds have passed, and nothing under --quiet.
class Progress {
 public:
  /// `total` 0: unknown. `unit` names what is counted, e.g. "tokens", "MB". `done_before` was done earlier and counts in no rate.
  Progress(std::string what, double total, std::string unit, double done_before = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Cheap enough to call often. `note` follows the numbers, e.g. "loss 1.93".
  void update(double done, const std::string& note = "");
  /// Ends the line (on a terminal). The destructor does it too.
  void finish();

 private:
  std::string what_, unit_;
  double total_, done_before_;
  std::chrono::steady_clock::time_point start_, last_;
  bool on_terminal_, drawn_ = false;
};

/// `95` -> "1 min 35 s".
std::string duration_text(double seconds);
/// `1536000000` -> "1.54 GB" (decimal units).
std::string bytes_text(double bytes);
/// `12345678` -> "12.3 M".
std::string count_text(double count);

}  // namespace aot
