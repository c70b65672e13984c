// SPDX-License-Identifier: Apache-2.0
#include "aot/core/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>

#include <fmt/format.h>

namespace aot {
namespace {

std::atomic<Verbosity> g_verbosity{Verbosity::normal};
bool g_line_open = false;  // a progress line without its newline stands on the terminal

void write_line(const std::string& line) {
  if (g_line_open) std::fputs("\r\x1b[K", stderr);
  g_line_open = false;
  std::fputs((line + "\n").c_str(), stderr);
  std::fflush(stderr);
}

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string scaled(double value, const char* unit) {
  const char* prefixes[] = {"", "k", "M", "G", "T"};
  int i = 0;
  while (value >= 999.5 && i < 4) {
    value /= 1000;
    ++i;
  }
  const std::string number = i == 0 && value == static_cast<int64_t>(value) ? fmt::format("{:.0f}", value) : fmt::format("{:.3g}", value);
  const std::string suffix = std::string(prefixes[i]) + unit;
  return suffix.empty() ? number : number + " " + suffix;
}

}  // namespace

void set_verbosity(Verbosity verbosity) {
  g_verbosity = verbosity;
}
Verbosity verbosity() {
  return g_verbosity;
}

void log_info(const std::string& line) {
  if (verbosity() != Verbosity::quiet) write_line(line);
}
void log_detail(const std::string& line) {
  if (verbosity() == Verbosity::verbose) write_line(line);
}
void log_warning(const std::string& line) {
  write_line("warning: " + line);
}

Progress::Progress(std::string what, double total, std::string unit, double done_before)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      done_before_(done_before),
      start_(std::chrono::steady_clock::now()),
      last_(start_),
      on_terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  finish();
}

void Progress::update(double done, const std::string& note) {
  const auto now = std::chrono::steady_clock::now();
  const double elapsed = seconds_between(start_, now);
  const double pause = on_terminal_ ? 0.2 : 10.0;
  if (verbosity() == Verbosity::quiet || elapsed < 2.0 || (drawn_ && seconds_between(last_, now) < pause)) return;
  last_ = now;
  drawn_ = true;
  const double rate = (done - done_before_) / elapsed;
  std::string line = what_ + "  ";
  line += total_ > 0 ? fmt::format("{:3.0f} %  {} of {}", 100 * done / total_, count_text(done), count_text(total_)) : count_text(done);
  line += fmt::format(" {}  {} {}/s", unit_, count_text(rate), unit_);
  if (total_ > 0 && rate > 0) line += "  " + duration_text((total_ - done) / rate) + " left";
  if (!note.empty()) line += "  " + note;
  if (on_terminal_) {
    std::fputs(("\r\x1b[K" + line).c_str(), stderr);
    std::fflush(stderr);
    g_line_open = true;
  } else {
    write_line(line);
  }
}

void Progress::finish() {
  if (on_terminal_ && g_line_open) {
    std::fputs("\r\x1b[K", stderr);
    std::fflush(stderr);
    g_line_open = false;
  }
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string bytes_text(double bytes) {
  return scaled(bytes, "B");
}
std::string count_text(double count) {
  return scaled(count, "");
}

}  // namespace aot
