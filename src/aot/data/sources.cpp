// SPDX-License-Identifier: Apache-2.0
#include "aot/data/sources.h"

#include <algorithm>
#include <filesystem>

#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/data/json_lines.h"
#include "aot/data/text_place.h"
#include "aot/data/text_reader.h"
#include "aot/io/error.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kCodes = 0x110000;

void list_folder(const std::string& folder, bool lines, std::vector<TextSource>& sources) {
  const size_t first = sources.size();
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  for (const fs::recursive_directory_iterator end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (entry->path().filename().native().front() == '.')
      entry.disable_recursion_pending();
    else if (entry->is_regular_file(ignored) && (!lines || entry->path().extension() == ".jsonl"))
      sources.push_back({entry->path().native(), lines});
  }
  if (error) throw FileError(folder, "", "cannot list this folder: " + error.message(), "", ExitCode::io);
  std::sort(sources.begin() + static_cast<std::ptrdiff_t>(first), sources.end(),
            [](const TextSource& a, const TextSource& b) { return a.path < b.path; });
}

/// Looks at the pieces of one file.
class FileScan {
 public:
  FileScan(const TextSource& source, const ScanRequest& request, const std::vector<bool>& known, std::vector<bool>& seen)
      : source_(source), request_(request), known_(known), seen_(seen) {}

  /// False when the file is to be left out.
  bool run(Progress& progress, uint64_t bytes_before) {
    if (!request_.field.empty()) return run_lines(progress, bytes_before);
    TextReader reader(source_.path);
    bytes_ = reader.size();
    if (bytes_ == 0) return refuse("", "empty file");
    std::string_view piece;
    for (uint64_t done = 0; stop_signal() == 0 && reader.next(piece, complete_utf8_prefix); done += piece.size()) {
      if (!check(piece, done == 0)) return false;
      progress.update(static_cast<double>(bytes_before + done) / 1e6);
    }
    return true;
  }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }

 private:
  bool run_lines(Progress& progress, uint64_t bytes_before) {
    JsonLines lines(source_.path, source_.shown(), request_.field);
    bytes_ = lines.size();
    if (bytes_ == 0) return refuse("", "empty file");
    for (std::string text; stop_signal() == 0 && lines.next(text);) {
      if (request_.characters) note_characters(text, str("line ", lines.line()));
      progress.update(static_cast<double>(bytes_before + lines.bytes_read()) / 1e6);
    }
    return true;
  }

  bool refuse(const std::string& place, const std::string& problem) const {
    if (source_.named) throw FileError(source_.shown(), place, problem);
    log_detail(str("skipped ", escaped(source_.shown()), ": ", place, place.empty() ? "" : ": ", problem));
    return false;
  }

  bool check(std::string_view piece, bool is_first) {
    const std::string_view kind = is_first ? looks_like(piece) : "";
    const bool may_be_binary = source_.named && !request_.characters;
    const size_t bad = may_be_binary ? std::string_view::npos : find_invalid_utf8(piece);
    if (bad != std::string_view::npos) {
      place_.pass(piece.substr(0, bad));
      return refuse(place_.byte_text(), invalid_utf8_text(is_first ? piece : ""));
    }
    if (!kind.empty() && kind != "HTML") return refuse("", str("looks like ", kind, ", need text"));
    if (!source_.named && piece.find('\0') != std::string_view::npos) return refuse("", "holds a NUL byte");
    if (request_.characters) note_characters(piece);
    place_.pass(piece);
    return true;
  }

  /// `place`: where all of the piece is; empty: where the pieces so far end.
  void note_characters(std::string_view piece, const std::string& place = "") {
    for (size_t at = 0; at < piece.size();) {
      const Utf8Char c = decode_utf8(piece, at);
      if (!known_.empty() && !known_[c.code]) {
        place_.pass(piece.substr(0, at));
        throw FileError(source_.shown(), place.empty() ? place_.column_text() : place, unknown_character_text(c.code));
      }
      seen_[c.code] = true;
      at += c.bytes;
    }
  }

  const TextSource& source_;
  const ScanRequest& request_;
  const std::vector<bool>& known_;
  std::vector<bool>& seen_;
  TextPlace place_;
  uint64_t bytes_ = 0;
};

std::vector<bool> characters_of(const Tokenizer& tokenizer) {
  std::vector<bool> known(kCodes, false);
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string_view bytes = tokenizer.bytes_of(id);
    if (!bytes.empty()) known[decode_utf8(bytes, 0).code] = true;
  }
  return known;
}

double megabytes(const std::vector<TextSource>& sources) {
  double bytes = 0;
  for (const TextSource& source : sources) {
    std::error_code error;
    const uintmax_t size = fs::file_size(source.path, error);
    if (!error) bytes += static_cast<double>(size);
  }
  return bytes / 1e6;
}

}  // namespace

std::vector<TextSource> list_sources(const std::vector<std::string>& inputs, const std::string& field) {
  std::vector<TextSource> sources;
  for (const std::string& input : inputs) {
    std::error_code ignored;
    if (fs::is_directory(input, ignored))
      list_folder(input, !field.empty(), sources);
    else
      sources.push_back({input, true});
  }
  return sources;
}

ScanResult scan_sources(std::vector<TextSource> sources, const ScanRequest& request) {
  const std::vector<bool> known = request.vocabulary ? characters_of(*request.vocabulary) : std::vector<bool>();
  std::vector<bool> seen(kCodes, false);
  ScanResult result;
  Progress progress("read", megabytes(sources), "MB");
  for (TextSource& source : sources) {
    // What a skipped file holds must not enter the vocabulary.
    std::vector<bool> before = source.named ? std::vector<bool>() : seen;
    FileScan scan(source, request, known, seen);
    if (!scan.run(progress, result.bytes)) {
      seen.swap(before);
      ++result.skipped;
      continue;
    }
    if (stop_signal() != 0) {
      result.stopped = true;
      return result;
    }
    source.bytes = scan.bytes();
    result.bytes += source.bytes;
    result.sources.push_back(std::move(source));
  }
  for (uint32_t code = 0; code < kCodes; ++code)
    if (seen[code]) result.characters.push_back(code);
  return result;
}

}  // namespace aot
