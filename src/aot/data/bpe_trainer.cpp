// SPDX-License-Identifier: Apache-2.0
// Each different piece is kept once, as ids with the number of times that it occurs. For each pair there is its count and the pieces that
// it may be in, so that a merge touches these alone; a heap holds counts as they were, which are looked at again when they come up.
#include "aot/data/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <queue>
#include <unordered_set>

#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/data/documents.h"
#include "aot/data/split_pattern.h"
#include "aot/io/error.h"

namespace aot {
namespace {

constexpr size_t kMaxPieceBytes = 256, kMaxTokenBytes = 512;
constexpr int64_t kMinCount = 2;

/// The bytes as GPT-2's vocabulary orders them: by their character in the printable alphabet.
std::vector<std::string> bytes_in_order() {
  std::vector<std::string> bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.emplace_back(1, static_cast<char>(byte));
  // UTF-8 sorts as code points do.
  std::sort(bytes.begin(), bytes.end(),
            [](const std::string& a, const std::string& b) { return to_byte_alphabet(a) < to_byte_alphabet(b); });
  return bytes;
}

uint64_t pair_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

class Training {
 public:
  explicit Training(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {
    for (size_t id = 0; id < tokens_.size(); ++id) {
      byte_ids_[static_cast<unsigned char>(tokens_[id][0])] = static_cast<int32_t>(id);
      ids_.emplace(tokens_[id], static_cast<int32_t>(id));
    }
  }

  void add(std::string_view piece, int64_t count) {
    const auto number = static_cast<uint32_t>(pieces_.size());
    pieces_.push_back({symbols_.size(), static_cast<uint32_t>(piece.size()), count});
    for (const char c : piece) symbols_.push_back(byte_ids_[static_cast<unsigned char>(c)]);
    const int32_t* ids = symbols_.data() + pieces_.back().first;
    for (size_t i = 0; i + 1 < piece.size(); ++i) grow(pair_of(ids[i], ids[i + 1]), number, count);
  }

  void start() {
    for (const auto& [pair, facts] : pairs_) push(pair, facts.count);
  }

  /// Makes the next token. False when no pair is left.
  bool step() {
    while (!heap_.empty()) {
      const Entry top = heap_.top();
      heap_.pop();
      const uint64_t pair = ~top.inverted_pair;
      const int64_t now = pairs_[pair].count;
      if (now != top.count) {
        push(pair, now);
        continue;
      }
      const auto left = static_cast<int32_t>(pair >> 32), right = static_cast<int32_t>(pair & 0xffffffffu);
      std::string bytes = tokens_[static_cast<size_t>(left)] + tokens_[static_cast<size_t>(right)];
      if (bytes.size() > kMaxTokenBytes) continue;
      // Two pairs may make the same token.
      const auto [found, is_new] = ids_.try_emplace(bytes, static_cast<int32_t>(tokens_.size()));
      if (is_new) tokens_.push_back(std::move(bytes));
      if (merged_.insert(pair).second) merges_.push_back({left, right, found->second});
      merge(pair, found->second);
      return true;
    }
    return false;
  }

  [[nodiscard]] size_t size() const { return tokens_.size(); }
  BpeFiles finish() {
    BpeFiles files;
    files.tokens = std::move(tokens_);
    files.merges = std::move(merges_);
    files.special = {static_cast<int32_t>(files.tokens.size())};
    files.tokens.emplace_back("<|endoftext|>");
    return files;
  }

 private:
  struct Piece {
    size_t first;   // in symbols_
    uint32_t size;  // ids left
    int64_t count;
  };
  struct PairFacts {
    int64_t count = 0;
    std::vector<uint32_t> pieces;  // where it is or was
  };
  struct Entry {
    int64_t count;
    uint64_t inverted_pair;  // the smaller pair is the greater entry
    bool operator<(const Entry& other) const { return count != other.count ? count < other.count : inverted_pair < other.inverted_pair; }
  };

  void push(uint64_t pair, int64_t count) {
    if (count >= kMinCount) heap_.push({count, ~pair});
  }

  void grow(uint64_t pair, uint32_t piece, int64_t count) {
    PairFacts& facts = pairs_[pair];
    facts.count += count;
    if (facts.pieces.empty() || facts.pieces.back() != piece) facts.pieces.push_back(piece);
  }

  void merge(uint64_t pair, int32_t result) {
    const std::vector<uint32_t> places = std::move(pairs_[pair].pieces);
    pairs_[pair] = {};
    grown_.clear();
    for (const uint32_t place : places) merge_in(place, pair, result);
    std::sort(grown_.begin(), grown_.end());
    grown_.erase(std::unique(grown_.begin(), grown_.end()), grown_.end());
    for (const uint64_t changed : grown_) push(changed, pairs_[changed].count);
  }

  void merge_in(uint32_t place, uint64_t pair, int32_t result) {
    Piece& piece = pieces_[place];
    int32_t* ids = symbols_.data() + piece.first;
    const auto left = static_cast<int32_t>(pair >> 32), right = static_cast<int32_t>(pair & 0xffffffffu);
    const auto lose = [&](int32_t a, int32_t b) {
      if (const uint64_t lost = pair_of(a, b); lost != pair) pairs_[lost].count -= piece.count;
    };
    const auto gain = [&](int32_t a, int32_t b) {
      grow(pair_of(a, b), place, piece.count);
      grown_.push_back(pair_of(a, b));
    };
    uint32_t kept = 0;
    for (uint32_t i = 0; i < piece.size;) {
      if (i + 1 >= piece.size || ids[i] != left || ids[i + 1] != right) {
        ids[kept++] = ids[i++];
        continue;
      }
      if (kept > 0) {
        lose(ids[kept - 1], left);
        gain(ids[kept - 1], result);
      }
      i += 2;
      if (i < piece.size) {
        lose(right, ids[i]);
        gain(result, ids[i]);
      }
      ids[kept++] = result;
    }
    piece.size = kept;
  }

  std::vector<std::string> tokens_;
  std::vector<BpeMerge> merges_;
  std::array<int32_t, 256> byte_ids_ = {};
  std::unordered_map<std::string, int32_t> ids_;
  std::unordered_set<uint64_t> merged_;
  std::vector<Piece> pieces_;
  std::vector<int32_t> symbols_;
  std::unordered_map<uint64_t, PairFacts> pairs_;
  std::priority_queue<Entry> heap_;
  std::vector<uint64_t> grown_;
};

}  // namespace

void BpeTrainer::add(std::string_view text) {
  split_bytes(SplitKind::gpt2, text, [this](std::string_view piece) {
    for (size_t at = 0; at < piece.size(); at += kMaxPieceBytes) {
      const std::string_view part = piece.substr(at, kMaxPieceBytes);
      const auto found = counts_.find(part);
      if (found != counts_.end())
        ++found->second;
      else
        counts_.emplace(part, 1);
    }
  });
}

std::optional<TokenizerFile> BpeTrainer::train(int64_t vocab_size) const {
  Training training(bytes_in_order());
  for (const auto& [piece, count] : counts_) training.add(piece, count);
  training.start();
  const auto wanted = static_cast<size_t>(vocab_size - 1);  // the last is <|endoftext|>
  Progress progress("merge", static_cast<double>(vocab_size), "tokens");
  while (training.size() < wanted && training.step()) {
    if (stop_signal() != 0) return std::nullopt;
    progress.update(static_cast<double>(training.size()));
  }
  TokenizerFile file;
  file.vocabulary = training.finish();
  return file;
}

std::optional<TokenizerFile> train_bpe(const std::vector<TextSource>& sources, const std::string& field, int64_t vocab_size) {
  uint64_t bytes = 0;
  for (const TextSource& source : sources) bytes += source.bytes;
  BpeTrainer trainer;
  {
    Progress progress("count", static_cast<double>(bytes) / 1e6, "MB");
    double done = 0;
    for (const TextSource& source : sources) {
      DocumentReader reader(source, field);
      const auto cut = [](std::string_view text) { return certain_split(text); };
      for (std::vector<TextPart> parts; reader.next(parts, cut);) {
        if (stop_signal() != 0) return std::nullopt;
        for (const TextPart& part : parts) trainer.add(part.text);
        progress.update(done + static_cast<double>(reader.bytes_read()) / 1e6);
      }
      done += static_cast<double>(source.bytes) / 1e6;
    }
  }
  std::optional<TokenizerFile> file = trainer.train(vocab_size);
  if (file && static_cast<int64_t>(file->vocabulary.tokens.size()) < vocab_size)
    log_warning(str("the text gives ", file->vocabulary.tokens.size(), " tokens, not ", vocab_size, ": no pair is left that occurs twice"));
  return file;
}

}  // namespace aot
