// SPDX-License-Identifier: Apache-2.0
#include "aot/data/prepare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/data/new_folder.h"
#include "aot/data/sources.h"
#include "aot/data/text_reader.h"
#include "aot/data/tokenizer.h"
#include "aot/io/error.h"
#include "aot/io/output.h"
#include "aot/io/sha256.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxNarrowVocabulary = 65'536;

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

/// Encodes all files into one file of 32-bit tokens: how many there are decides where validation begins. Returns their number, or nothing
/// when a signal asked for a stop.
std::optional<int64_t> encode_all(const ScanResult& scan, const Tokenizer& tokenizer, const std::string& path) {
  // Where the tokenizer has no token for it, one line feed stands between two documents.
  std::vector<int32_t> separator;
  if (tokenizer.end_of_text() >= 0)
    separator = {tokenizer.end_of_text()};
  else if (scan.sources.size() > 1)
    separator = tokenizer.encode("\n");
  TokenWriter out(path, 4);
  Progress progress("encode", static_cast<double>(scan.bytes) / 1e6, "MB");
  std::vector<int32_t> ids;
  int64_t tokens = 0;
  uint64_t done = 0;
  const auto cut = [&tokenizer](std::string_view text) { return tokenizer.safe_cut(text); };
  for (const TextSource& source : scan.sources) {
    TextReader reader(source.path);
    if (reader.size() != source.bytes) throw FileError(source.path, "", "changed while being read");
    std::string_view piece;
    if (&source != &scan.sources.front()) ids = separator;
    while (reader.next(piece, cut)) {
      if (stop_signal() != 0) return std::nullopt;
      tokenizer.encode(piece, ids);
      out.write(ids);
      tokens += static_cast<int64_t>(ids.size());
      ids.clear();
      done += piece.size();
      progress.update(static_cast<double>(done) / 1e6);
    }
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
  if (options.tokenizer == "bpe") throw UsageError("--tokenizer bpe: training a vocabulary is not built yet", "use gpt2:DIR or char");
  check_is_new_folder(options.out);
}

}  // namespace

std::optional<PrepareResult> prepare_text(const PrepareOptions& options) {
  check_options(options);
  const bool own_characters = options.tokenizer == "char";
  TokenizerPtr tokenizer = own_characters ? nullptr : open_tokenizer(options.tokenizer);

  std::vector<TextSource> sources = list_sources(options.inputs);
  const ScanRequest request = {own_characters || tokenizer->kind() == "char", tokenizer};
  ScanResult scan = scan_sources(std::move(sources), request.characters ? request : ScanRequest());
  if (scan.stopped) return std::nullopt;
  if (scan.skipped > 0) log_info(str("skipped ", scan.skipped, " files that are empty or no text (--verbose names them)"));
  if (scan.sources.empty()) throw FileError(options.inputs.front(), "", "no text files in here, need at least one");
  if (own_characters) {
    if (scan.sources.size() > 1) scan.characters.push_back('\n');
    tokenizer = make_char_tokenizer(scan.characters);
  }

  NewFolder folder(options.out);
  const std::string all_path = folder.path("all.bin");
  const std::optional<int64_t> tokens = encode_all(scan, *tokenizer, all_path);
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
    meta.train = write_split(all, 0, train_tokens, *tokenizer, meta.bytes_per_token, folder.path("train.bin"));
    if (options.val > 0)
      meta.val = write_split(all, train_tokens, *tokens - train_tokens, *tokenizer, meta.bytes_per_token, folder.path("val.bin"));
  }
  fs::remove(all_path);
  meta.source_files = static_cast<int64_t>(scan.sources.size());
  for (size_t i = 0; i < std::min(kMaxSources, scan.sources.size()); ++i)
    meta.sources.push_back({scan.sources[i].path, static_cast<int64_t>(scan.sources[i].bytes)});
  folder.write_text("tokenizer.json", tokenizer_text);
  folder.write_text("meta.json", dataset_meta_text(meta));
  folder.put_into_place();
  return result;
}

}  // namespace aot
