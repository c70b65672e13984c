// SPDX-License-Identifier: Apache-2.0
#include "aot/data/prepare.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/data/bpe_trainer.h"
#include "aot/data/documents.h"
#include "aot/data/encoder_team.h"
#include "aot/data/new_folder.h"
#include "aot/data/sources.h"
#include "aot/data/vocabulary.h"
#include "aot/io/error.h"
#include "aot/io/output.h"
#include "aot/io/sha256.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxNarrowVocabulary = 65'536, kMinTrainedVocabulary = 257;

/// Writes ids as little-endian uint16 or uint32.
class TokenWriter {
 public:
  TokenWriter(const std::string& path, int bytes_per_token) : file_(path), bytes_per_token_(bytes_per_token) {}
  void write(const std::vector<int32_t>& ids) {
    packed_.resize(ids.size() * static_cast<size_t>(bytes_per_token_));
    if (bytes_per_token_ == 2)
      pack<uint16_t>(ids);
    else
      pack<uint32_t>(ids);
    file_.write(packed_);
  }
  std::string finish() { return file_.finish(); }

 private:
  template <class Token>
  void pack(const std::vector<int32_t>& ids) {
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto token = static_cast<Token>(ids[i]);
      std::memcpy(packed_.data() + i * sizeof token, &token, sizeof token);
    }
  }

  OutputFile file_;
  int bytes_per_token_;
  std::string packed_;
};

/// Whether there may be more than one document.
bool has_several(const ScanResult& scan, const PrepareOptions& options) {
  return scan.sources.size() > 1 || !options.field.empty();
}

/// Encodes all documents into one file of 32-bit tokens: how many there are decides where validation begins. Returns their number, or
/// nothing when a signal asked for a stop.
std::optional<int64_t> encode_all(const ScanResult& scan, const Tokenizer& tokenizer, const PrepareOptions& options,
                                  const std::string& path) {
  // Where the tokenizer has no token for it, one line feed stands between two documents.
  const std::vector<int32_t> separator = tokenizer.end_of_text() >= 0 ? std::vector<int32_t>{tokenizer.end_of_text()}
                                         : has_several(scan, options) ? tokenizer.encode("\n")
                                                                      : std::vector<int32_t>();
  TokenWriter out(path, 4);
  Progress progress("encode", static_cast<double>(scan.bytes) / 1e6, "MB");
  EncoderTeam team(tokenizer, options.threads);
  int64_t tokens = 0;
  uint64_t done = 0;
  bool is_first = true;
  const auto cut = [&tokenizer](std::string_view text) { return tokenizer.safe_cut(text); };
  std::vector<TextPart> parts;
  for (const TextSource& source : scan.sources) {
    DocumentReader reader(source, options.field);
    while (reader.next(parts, cut)) {
      if (stop_signal() != 0) return std::nullopt;
      if (is_first) parts.front().starts = false;
      is_first = false;
      team.encode(parts, separator, [&](const std::vector<int32_t>& ids) {
        out.write(ids);
        tokens += static_cast<int64_t>(ids.size());
      });
      progress.update(static_cast<double>(done + reader.bytes_read()) / 1e6);
    }
    done += source.bytes;
  }
  out.finish();
  return tokens;
}

/// Copies `count` tokens from `first` on into their own .bin.
SplitMeta write_split(const InputFile& all, int64_t first, int64_t count, const Tokenizer& tokenizer, int bytes_per_token,
                      const std::string& path) {
  constexpr int64_t kPiece = 1 << 20;
  TokenWriter out(path, bytes_per_token);
  SplitMeta split;
  split.tokens = count;
  std::vector<int32_t> ids;
  for (int64_t done = 0; done < count; done += static_cast<int64_t>(ids.size())) {
    ids.resize(static_cast<size_t>(std::min(kPiece, count - done)));
    all.read_at(static_cast<uint64_t>(first + done) * sizeof(int32_t), ids.data(), ids.size() * sizeof(int32_t));
    for (const int32_t id : ids) split.text_bytes += static_cast<int64_t>(tokenizer.bytes_of(id).size());
    out.write(ids);
  }
  split.sha256 = out.finish();
  return split;
}

void check_options(const PrepareOptions& options) {
  if (options.inputs.empty()) throw UsageError("data prepare needs at least one file or folder");
  if (options.out.empty()) throw UsageError("data prepare needs --out DIR");
  if (!(options.val >= 0 && options.val < 1)) throw UsageError(str("--val: need a share from 0 to below 1 (found ", options.val, ")"));
  if (options.tokenizer == "bpe" && options.vocab < kMinTrainedVocabulary)
    throw UsageError(str("--vocab: need at least ", kMinTrainedVocabulary, ": the bytes and <|endoftext|> (found ", options.vocab, ")"));
  if (std::count(options.inputs.begin(), options.inputs.end(), "-") > 1) throw UsageError("stdin (-) can be read once only");
  check_is_new_folder(options.out);
}

/// Reads stdin into `path`, since texts are read twice. False when a signal asked for a stop.
bool save_stdin(const std::string& path) {
  OutputFile file(path);
  Progress progress("read stdin", 0, "MB");
  std::vector<char> piece(1u << 20);
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (stop_signal() != 0) return false;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw FileError("stdin", "", str("read error: ", std::strerror(errno)), "", ExitCode::io);
    if (got == 0) break;
    file.write(piece.data(), static_cast<size_t>(got));
    progress.update(static_cast<double>(file.bytes()) / 1e6);
  }
  file.finish();
  return true;
}

/// Made from the text itself, or opened. Null when a signal asked for a stop.
TokenizerPtr tokenizer_for(const ScanResult& scan, const PrepareOptions& options) {
  if (options.tokenizer == "bpe") {
    std::optional<TokenizerFile> file = train_bpe(scan.sources, options.field, options.vocab);
    return file ? make_tokenizer(std::move(*file)) : nullptr;
  }
  std::vector<uint32_t> characters = scan.characters;
  if (has_several(scan, options)) characters.push_back('\n');
  return make_char_tokenizer(characters);
}

}  // namespace

std::optional<PrepareResult> prepare_text(const PrepareOptions& options) {
  check_options(options);
  const bool own_characters = options.tokenizer == "char";
  TokenizerPtr tokenizer = own_characters || options.tokenizer == "bpe" ? nullptr : open_tokenizer(options.tokenizer);

  std::optional<NewFolder> folder;
  std::vector<TextSource> sources = list_sources(options.inputs, options.field);
  for (TextSource& source : sources) {
    if (source.path != "-") continue;
    folder.emplace(options.out);
    source.name = "stdin";
    source.path = folder->path("stdin");
    if (!save_stdin(source.path)) return std::nullopt;
  }
  ScanRequest request;
  request.characters = own_characters || (tokenizer && tokenizer->kind() == "char");
  if (request.characters) request.vocabulary = tokenizer;
  request.field = options.field;
  ScanResult scan = scan_sources(std::move(sources), request);
  if (scan.stopped) return std::nullopt;
  if (scan.skipped > 0) log_info(str("skipped ", scan.skipped, " files that are empty or no text (--verbose names them)"));
  if (scan.sources.empty()) throw FileError(options.inputs.front(), "", "no text files in here, need at least one");
  if (!tokenizer) tokenizer = tokenizer_for(scan, options);
  if (!tokenizer) return std::nullopt;

  if (!folder) folder.emplace(options.out);
  const std::string all_path = folder->path("all.bin");
  const std::optional<int64_t> tokens = encode_all(scan, *tokenizer, options, all_path);
  if (!tokens) return std::nullopt;
  const auto train_tokens = static_cast<int64_t>(std::floor(static_cast<double>(*tokens) * (1 - options.val)));
  if (train_tokens < 1 || (options.val > 0 && train_tokens == *tokens))
    throw FileError(options.inputs.front(), "", str("has ", *tokens, " tokens, need at least one on each side of the split"));

  PrepareResult result;
  result.skipped = scan.skipped;
  result.text_bytes = scan.bytes;
  DatasetMeta& meta = result.meta;
  const std::string tokenizer_text = tokenizer->to_json();
  meta.tokenizer = tokenizer->kind();
  meta.tokenizer_sha256 = sha256_hex(tokenizer_text);
  meta.vocab_size = tokenizer->vocab_size();
  meta.bytes_per_token = meta.vocab_size <= kMaxNarrowVocabulary ? 2 : 4;
  {
    const InputFile all(all_path);
    meta.train = write_split(all, 0, train_tokens, *tokenizer, meta.bytes_per_token, folder->path("train.bin"));
    if (options.val > 0)
      meta.val = write_split(all, train_tokens, *tokens - train_tokens, *tokenizer, meta.bytes_per_token, folder->path("val.bin"));
  }
  fs::remove(all_path);
  for (const TextSource& source : scan.sources)
    if (!source.name.empty()) fs::remove(source.path);
  meta.source_files = static_cast<int64_t>(scan.sources.size());
  for (size_t i = 0; i < std::min(kMaxSources, scan.sources.size()); ++i)
    meta.sources.push_back({scan.sources[i].shown(), static_cast<int64_t>(scan.sources[i].bytes)});
  folder->write_text("tokenizer.json", tokenizer_text);
  folder->write_text("meta.json", dataset_meta_text(meta));
  folder->put_into_place();
  return result;
}

}  // namespace aot
