// SPDX-License-Identifier: Apache-2.0
// GPT-2's byte-level BPE. Each piece of the split text starts as bytes; the pair of neighbours with the strongest merge becomes one token,
// the leftmost first, until no pair has a merge: by a heap over a linked list, O(n log n) for a piece of n bytes.
// Bytes that are not valid UTF-8 form pieces of their own, so any bytes survive encoding and decoding.
#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <queue>
#include <unordered_map>

#include "aot/data/split_pattern.h"
#include "aot/data/vocabulary.h"
#include "aot/io/error.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

constexpr int32_t kNone = -1;
constexpr uint64_t kNoMerge = std::numeric_limits<uint64_t>::max();

/// (left, right) -> rank and result, by open addressing: half the slots stay empty.
class MergeTable {
 public:
  struct Slot {
    int32_t left = kNone, right = kNone, rank = kNone, result = kNone;
  };

  explicit MergeTable(const std::vector<BpeMerge>& merges) {
    while (slots_.size() < 2 * merges.size() + 1) slots_.resize(std::max<size_t>(16, 2 * slots_.size()));
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      size_t at = first_slot(merges[rank].left, merges[rank].right);
      while (slots_[at].left != kNone) at = next_slot(at);
      slots_[at] = {merges[rank].left, merges[rank].right, static_cast<int32_t>(rank), merges[rank].result};
    }
  }

  /// A slot whose rank is kNone when the pair has no merge.
  [[nodiscard]] const Slot& find(int32_t left, int32_t right) const {
    size_t at = first_slot(left, right);
    while (slots_[at].left != kNone && (slots_[at].left != left || slots_[at].right != right)) at = next_slot(at);
    return slots_[at];
  }

 private:
  [[nodiscard]] size_t first_slot(int32_t left, int32_t right) const {
    const uint64_t pair = static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    return (pair * 0x9e3779b97f4a7c15u >> 20) & (slots_.size() - 1);  // Fibonacci hashing
  }
  [[nodiscard]] size_t next_slot(size_t at) const { return (at + 1) & (slots_.size() - 1); }

  std::vector<Slot> slots_;
};

/// Merges one piece after another, with memory that is kept between them.
class Merger {
 public:
  Merger(const MergeTable& merges, const std::array<int32_t, 256>& byte_ids) : merges_(merges), byte_ids_(byte_ids) {}

  void encode(std::string_view piece, std::vector<int32_t>& ids) {
    nodes_.clear();
    noted_.clear();
    for (size_t i = 0; i < piece.size(); ++i) {
      const auto at = static_cast<int32_t>(i);
      nodes_.push_back({byte_ids_[static_cast<unsigned char>(piece[i])], at - 1, i + 1 < piece.size() ? at + 1 : kNone});
    }
    for (size_t i = 0; i + 1 < piece.size(); ++i)
      if (const uint64_t merge = merge_at(static_cast<int32_t>(i)); merge != kNoMerge) noted_.push_back(merge);
    // The pairs of the start, sorted, beside a heap of those that merges make: half the work of one heap for all.
    std::sort(noted_.begin(), noted_.end());
    for (size_t i = 0; i < noted_.size() || !heap_.empty();) {
      if (heap_.empty() || (i < noted_.size() && noted_[i] < heap_.top())) {
        apply(noted_[i++]);
      } else {
        const uint64_t top = heap_.top();
        heap_.pop();
        apply(top);
      }
    }
    for (int32_t at = piece.empty() ? kNone : 0; at != kNone; at = nodes_[static_cast<size_t>(at)].next)
      ids.push_back(nodes_[static_cast<size_t>(at)].id);
  }

 private:
  struct Node {
    int32_t id, previous, next;  // id is kNone when the node went into the one before it
  };

  /// The merge of the node at `at` with its next one, the rank above and the place below: the least is the strongest, and the leftmost of
  /// equals. REQUIRES: it has a next one.
  [[nodiscard]] uint64_t merge_at(int32_t at) const {
    const Node& node = nodes_[static_cast<size_t>(at)];
    const MergeTable::Slot& slot = merges_.find(node.id, nodes_[static_cast<size_t>(node.next)].id);
    return slot.rank == kNone ? kNoMerge : static_cast<uint64_t>(slot.rank) << 32 | static_cast<uint32_t>(at);
  }

  void note(int32_t at) {
    if (const uint64_t merge = merge_at(at); merge != kNoMerge) heap_.push(merge);
  }

  void apply(uint64_t merge) {
    const auto rank = static_cast<int32_t>(merge >> 32), at = static_cast<int32_t>(merge & 0xffffffffu);
    Node& node = nodes_[static_cast<size_t>(at)];
    if (node.id == kNone || node.next == kNone) return;
    Node& next = nodes_[static_cast<size_t>(node.next)];
    const MergeTable::Slot& slot = merges_.find(node.id, next.id);
    if (slot.rank != rank) return;  // the pair that was noted is gone
    node.id = slot.result;
    node.next = next.next;
    next.id = kNone;
    if (node.next != kNone) {
      nodes_[static_cast<size_t>(node.next)].previous = at;
      note(at);
    }
    if (node.previous != kNone) note(node.previous);
  }

  const MergeTable& merges_;
  const std::array<int32_t, 256>& byte_ids_;
  std::vector<Node> nodes_;
  std::vector<uint64_t> noted_;
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> heap_;
};

class BpeTokenizer : public VocabularyTokenizer {
 public:
  explicit BpeTokenizer(TokenizerFile file) : VocabularyTokenizer(std::move(file)), merges_(vocabulary().merges) {
    for (int32_t id = 0; id < vocab_size(); ++id) {
      const std::string_view bytes = bytes_of(id);
      if (bytes.size() == 1) byte_ids_[static_cast<unsigned char>(bytes[0])] = id;
    }
  }
  using Tokenizer::encode;
  [[nodiscard]] size_t safe_cut(std::string_view text) const override { return certain_split(text); }

  void encode(std::string_view text, std::vector<int32_t>& ids) const override {
    if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
      throw Error(ExitCode::failed, str("cannot encode ", text.size(), " bytes at once; need below 2 GiB"));
    PieceEncoder pieces(*this, ids);
    while (!text.empty()) {
      const size_t valid = std::min(find_invalid_utf8(text), text.size());
      split_.split(text.substr(0, valid), [&pieces](std::string_view piece) { pieces.encode(piece); });
      size_t end = valid;
      while (end < text.size() && !decode_utf8(text, end).valid) ++end;
      if (end > valid) pieces.encode(text.substr(valid, end - valid));
      text.remove_prefix(end);
    }
  }

 private:
  /// Encodes pieces, and copies the ids of a piece that was there before.
  class PieceEncoder {
   public:
    PieceEncoder(const BpeTokenizer& tokenizer, std::vector<int32_t>& ids) : merger_(tokenizer.merges_, tokenizer.byte_ids_), ids_(ids) {}
    void encode(std::string_view piece) {
      if (piece.size() > kMaxRemembered) return merger_.encode(piece, ids_);
      const auto [known, is_new] = known_.try_emplace(piece, Span{ids_.size(), 0});
      if (is_new) {
        merger_.encode(piece, ids_);
        known->second.count = ids_.size() - known->second.first;
        return;
      }
      const Span span = known->second;
      for (size_t i = 0; i < span.count; ++i) ids_.push_back(ids_[span.first + i]);
    }

   private:
    static constexpr size_t kMaxRemembered = 64;  // bytes; longer pieces seldom come twice
    struct Span {
      size_t first, count;  // in ids_
    };
    Merger merger_;
    std::vector<int32_t>& ids_;
    std::unordered_map<std::string_view, Span> known_;
  };

  MergeTable merges_;
  std::array<int32_t, 256> byte_ids_ = {};
  SplitPattern split_;
};

}  // namespace

TokenizerPtr make_bpe_tokenizer(TokenizerFile file) {
  return std::make_shared<BpeTokenizer>(std::move(file));
}

}  // namespace aot
