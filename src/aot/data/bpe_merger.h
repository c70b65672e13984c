// SPDX-License-Identifier: Apache-2.0
// The merges of a byte-level BPE, applied to one piece at a time: the pair of neighbours with the strongest merge becomes one token, the
// leftmost first, until no pair has a merge. Not for use outside this room.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <queue>
#include <string_view>
#include <vector>

#include "aot/io/bpe_files.h"

namespace aot {

/// (left, right) -> rank and result, by open addressing: half the slots stay empty.
class MergeTable {
 public:
  static constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();

  explicit MergeTable(const std::vector<BpeMerge>& merges);
  /// The rank above and the resulting token below: the least is the strongest. kNone when the pair has no merge.
  [[nodiscard]] uint64_t find(int32_t left, int32_t right) const {
    const uint64_t pair = key(left, right);
    size_t at = first_slot(pair);
    while (slots_[at].pair != pair && slots_[at].pair != kNone) at = (at + 1) & (slots_.size() - 1);
    return slots_[at].merge;
  }

 private:
  struct Slot {
    uint64_t pair = kNone, merge = kNone;
  };
  static uint64_t key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  [[nodiscard]] size_t first_slot(uint64_t pair) const {
    return (pair * 0x9e3779b97f4a7c15u >> 20) & (slots_.size() - 1);  // Fibonacci hashing
  }

  std::vector<Slot> slots_;
};

/// Merges one piece after another, with memory that is kept between them. For one thread.
class Merger {
 public:
  Merger(const MergeTable& merges, const std::array<int32_t, 256>& byte_ids) : merges_(merges), byte_ids_(byte_ids) {}

  /// Appends the tokens of `piece`.
  void encode(std::string_view piece, std::vector<int32_t>& ids) {
    if (piece.size() <= kShort)
      encode_short(piece, ids);
    else
      encode_long(piece, ids);
  }

 private:
  static constexpr size_t kShort = 32;  // bytes; below, looking at every pair again costs less than a heap
  static constexpr int32_t kNone = -1;
  struct Node {
    int32_t id, previous, next;  // id is kNone when the node went into the one before it
  };

  void encode_short(std::string_view piece, std::vector<int32_t>& ids);
  void encode_long(std::string_view piece, std::vector<int32_t>& ids);
  [[nodiscard]] uint64_t merge_at(int32_t at) const;
  void note(int32_t at);
  void apply(uint64_t merge);

  const MergeTable& merges_;
  const std::array<int32_t, 256>& byte_ids_;
  std::vector<Node> nodes_;
  std::vector<uint64_t> noted_;
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> heap_;
};

}  // namespace aot
