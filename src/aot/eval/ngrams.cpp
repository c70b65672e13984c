// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/ngrams.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "aot/core/log.h"
#include "aot/io/error.h"

namespace aot {
namespace {

constexpr int64_t kCounters = int64_t{1} << 25;  // 128 MiB of uint32: one pass up to 5,792 ids, 75 for GPT-2's 50,257
constexpr int64_t kChunk = 1 << 16;              // tokens read at a time

/// Calls visit(previous, token) for every pair of neighbours.
template <class Visit>
void for_each_pair(const TokenSource& source, const Visit& visit) {
  std::vector<int64_t> chunk(static_cast<size_t>(std::min(kChunk, source.tokens)));
  int64_t previous = -1;
  for (int64_t first = 0; first < source.tokens; first += kChunk) {
    const int64_t count = std::min(kChunk, source.tokens - first);
    source.read(first, count, chunk.data());
    for (int64_t i = 0; i < count; ++i) {
      if (previous >= 0) visit(previous, chunk[i]);
      previous = chunk[i];
    }
  }
}

/// How many things were counted once and twice, for the discount.
struct Rare {
  int64_t once = 0, twice = 0;
  void add(uint64_t count) {
    once += count == 1;
    twice += count == 2;
  }
  [[nodiscard]] double discount() const {
    return once == 0 || twice == 0 ? 0.5 : static_cast<double>(once) / static_cast<double>(once + 2 * twice);
  }
};

/// Absolute discounting of `counts` down to the uniform distribution over all ids.
class Discounted {
 public:
  explicit Discounted(const std::vector<uint64_t>& counts) : counts_(counts) {
    Rare rare;
    double types = 0;
    for (const uint64_t count : counts) {
      total_ += static_cast<double>(count);
      types += count > 0;
      rare.add(count);
    }
    discount_ = rare.discount();
    floor_ = discount_ * types / total_ / static_cast<double>(counts.size());
  }
  [[nodiscard]] double probability(int64_t token) const {
    return std::max(static_cast<double>(counts_[token]) - discount_, 0.0) / total_ + floor_;
  }
  [[nodiscard]] double discount() const { return discount_; }

 private:
  const std::vector<uint64_t>& counts_;
  double total_ = 0, discount_ = 0, floor_ = 0;
};

/// The pairs of the training tokens, counted for a range of first tokens at a time.
class PairCounts {
 public:
  PairCounts(const TokenSource& train, int64_t vocab_size)
      : train_(train),
        vocab_size_(vocab_size),
        rows_(std::clamp<int64_t>(kCounters / vocab_size, 1, vocab_size)),
        counts_(static_cast<size_t>(rows_ * vocab_size)) {}

  /// Calls visit(first, last) for ranges [first, last) of first tokens that cover all; `row` gives their counts meanwhile.
  void for_each_range(const std::function<void(int64_t first, int64_t last)>& visit) {
    for (int64_t first = 0; first < vocab_size_; first += rows_) {
      const int64_t last = std::min(first + rows_, vocab_size_);
      if (first_ != first) {
        first_ = first;
        std::fill(counts_.begin(), counts_.end(), 0);
        for_each_pair(train_, [&](int64_t a, int64_t b) {
          if (a >= first && a < last) ++counts_[(a - first) * vocab_size_ + b];
        });
      }
      visit(first, last);
    }
  }
  [[nodiscard]] const uint32_t* row(int64_t a) const { return counts_.data() + (a - first_) * vocab_size_; }

 private:
  const TokenSource& train_;
  int64_t vocab_size_, rows_;
  int64_t first_ = -1;  // of the range that is counted now
  std::vector<uint32_t> counts_;
};

}  // namespace

NgramScore score_ngrams(const TokenSource& train, const TokenSource& validation, int64_t vocab_size, bool progress) {
  for (const TokenSource* source : {&train, &validation})
    if (source->tokens < 2) throw Error(ExitCode::bad_file, str("need at least 2 tokens to count pairs (found ", source->tokens, ")"));
  if (train.tokens > INT64_C(0xffffffff))
    throw Error(ExitCode::failed, str("counting is limited to 2^32 training tokens (found ", train.tokens, ")"));
  const auto ids = static_cast<size_t>(vocab_size);

  std::vector<uint64_t> tokens(ids), followed(ids), followers(ids), predecessors(ids);  // c(b), c(a.), types after a, types before b
  int64_t first_token = 0;
  train.read(0, 1, &first_token);
  ++tokens[first_token];
  for_each_pair(train, [&](int64_t a, int64_t b) {
    ++followed[a];
    ++tokens[b];
  });

  PairCounts pairs(train, vocab_size);
  Rare rare;
  Progress line("counting pairs", static_cast<double>(vocab_size), "ids");
  pairs.for_each_range([&](int64_t first, int64_t last) {
    for (int64_t a = first; a < last; ++a) {
      if (followed[a] == 0) continue;
      const uint32_t* row = pairs.row(a);
      for (size_t b = 0; b < ids; ++b) {
        if (row[b] == 0) continue;
        ++followers[a];
        ++predecessors[b];
        rare.add(row[b]);
      }
    }
    if (progress) line.update(static_cast<double>(last));
  });
  line.finish();

  const Discounted unigram(tokens), continuation(predecessors);
  const double discount = rare.discount();
  double unigram_sum = 0, bigram_sum = 0;
  for_each_pair(validation, [&](int64_t, int64_t b) { unigram_sum -= std::log(unigram.probability(b)); });
  pairs.for_each_range([&](int64_t first, int64_t last) {
    for_each_pair(validation, [&](int64_t a, int64_t b) {
      if (a < first || a >= last) return;
      double probability = continuation.probability(b);
      if (followed[a] > 0) {
        const auto total = static_cast<double>(followed[a]);
        probability *= discount * static_cast<double>(followers[a]) / total;
        probability += std::max(pairs.row(a)[b] - discount, 0.0) / total;
      }
      bigram_sum -= std::log(probability);
    });
  });

  NgramScore score;
  score.tokens = validation.tokens - 1;
  score.train_tokens = train.tokens;
  score.unigram = unigram_sum / static_cast<double>(score.tokens);
  score.bigram = bigram_sum / static_cast<double>(score.tokens);
  score.unigram_discount = unigram.discount();
  score.bigram_discount = discount;
  return score;
}

}  // namespace aot
