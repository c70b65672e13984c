// SPDX-License-Identifier: Apache-2.0
#include "aot/train/metrics.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "aot/core/log.h"
#include "aot/core/text.h"
#include "aot/io/error.h"
#include "aot/io/tensorboard.h"

namespace aot {
namespace {

/// Seconds since 1970.
double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

AppendFile::AppendFile(std::string path, uint64_t length) : path_(std::move(path)), length_(length) {
  descriptor_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor_ < 0) throw FileError(path_, "", std::string("cannot be opened for writing: ") + std::strerror(errno), "", ExitCode::io);
  struct stat facts = {};
  if (fstat(descriptor_, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    close(descriptor_);
    throw FileError(path_, "", "not a regular file", "", ExitCode::io);
  }
  const auto size = static_cast<uint64_t>(facts.st_size);
  if (size < length_) {
    log_warning(str(escaped(path_), ": ends ", length_ - size, " bytes before the checkpoint's place in it; its earlier rows are lost"));
    length_ = size;
  }
  if (ftruncate(descriptor_, static_cast<off_t>(length_)) != 0) {
    close(descriptor_);
    throw FileError(path_, "", std::string("cannot be cut: ") + std::strerror(errno), "", ExitCode::io);
  }
}

AppendFile::~AppendFile() {
  close(descriptor_);
}

void AppendFile::append(const std::string& row) {
  size_t written = 0;
  while (written < row.size()) {
    const ssize_t n = pwrite(descriptor_, row.data() + written, row.size() - written, static_cast<off_t>(length_ + written));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      if (!warned_) log_warning(str(escaped(path_), ": a row could not be written: ", std::strerror(errno), "; training goes on"));
      warned_ = true;
      if (ftruncate(descriptor_, static_cast<off_t>(length_)) != 0) log_detail(path_ + ": a cut row remains until the next one");
      return;
    }
    written += static_cast<size_t>(n);
  }
  length_ += row.size();
  warned_ = false;
}

void AppendFile::sync() {
  if (fsync(descriptor_) != 0) log_warning(str(escaped(path_), ": fsync: ", std::strerror(errno)));
}

MetricsLog::MetricsLog(const std::string& folder, const LogLengths& lengths, std::string unit, std::string counted,
                       std::function<void(const std::string&)> on_row)
    : unit_(std::move(unit)),
      counted_(std::move(counted)),
      columns_({"step", "loss", "lr", "grad_norm", unit_, "seconds", unit_ + "_per_s", "peak_share", "memory_bytes", "val_loss",
                "data_wait", "fallbacks"}),
      jsonl_(folder + "/metrics.jsonl", lengths.jsonl),
      csv_(folder + "/metrics.csv", lengths.csv),
      events_(folder + "/events.out.tfevents.aot", lengths.events),
      on_row_(std::move(on_row)) {
  if (csv_.length() == 0) csv_.append(joined(columns_, ",") + "\n");
  if (events_.length() == 0) events_.append(event_file_start(now()));
}

void MetricsLog::step(const StepRow& row) {
  const Json json = {{"step", row.step},
                     {"loss", row.loss},
                     {"lr", row.lr},
                     {"grad_norm", row.gradient_norm},
                     {unit_, row.units},
                     {"seconds", row.seconds},
                     {unit_ + "_per_s", row.units_per_s},
                     {"data_wait", row.data_wait},
                     {"peak_share", row.peak_share},
                     {"memory_bytes", row.memory_bytes},
                     {"fallbacks", row.fallbacks}};
  write(json);
  csv_.append(csv_row(json));
  scalar("train/loss", row.step, row.loss);
  scalar("train/lr", row.step, row.lr);
  scalar("train/grad_norm", row.step, row.gradient_norm);
  scalar("train/units_per_s", row.step, row.units_per_s);
}

void MetricsLog::validation(int64_t step, double loss, int64_t count, bool best, const std::vector<std::pair<std::string, double>>& more) {
  Json json = {{"step", step}, {"val_loss", loss}, {counted_, count}, {"best", best}};
  for (const auto& [name, value] : more) json[name] = value;
  write(json);
  csv_.append(csv_row(json));
  scalar("val/loss", step, loss);
  for (const auto& [name, value] : more) scalar("val/" + name, step, value);
}

/// The row's values in the order of the columns, empty where it has none. Only numbers are written, so nothing needs quotes.
std::string MetricsLog::csv_row(const Json& row) const {
  std::string out;
  for (const std::string& name : columns_) {
    if (&name != &columns_.front()) out += ",";
    if (row.contains(name)) out += dump_json(row[name]);
  }
  return out + "\n";
}

void MetricsLog::sample(int64_t step, const std::string& text) {
  write({{"step", step}, {"sample", text}});
}

LogLengths MetricsLog::sync() {
  jsonl_.sync();
  csv_.sync();
  events_.sync();
  return {jsonl_.length(), csv_.length(), events_.length()};
}

void MetricsLog::scalar(std::string_view tag, int64_t step, double value) {
  events_.append(scalar_event(tag, step, now(), value));
}

void MetricsLog::write(const Json& row) {
  const std::string line = dump_json(row) + "\n";
  jsonl_.append(line);
  if (on_row_) on_row_(line);
}

}  // namespace aot
