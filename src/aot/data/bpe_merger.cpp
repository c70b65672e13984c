// SPDX-License-Identifier: Apache-2.0
// Long pieces by a heap over a linked list, O(n log n) for n bytes.
#include "aot/data/bpe_merger.h"

#include <algorithm>

namespace aot {

MergeTable::MergeTable(const std::vector<BpeMerge>& merges) {
  size_t size = 16;
  while (size < 2 * merges.size() + 1) size *= 2;
  slots_.resize(size);
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const uint64_t pair = key(merges[rank].left, merges[rank].right);
    size_t at = first_slot(pair);
    while (slots_[at].pair != kNone) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = {pair, static_cast<uint64_t>(rank) << 32 | static_cast<uint32_t>(merges[rank].result)};
  }
}

void Merger::encode_short(std::string_view piece, std::vector<int32_t>& ids) {
  std::array<int32_t, kShort> tokens;
  std::array<uint64_t, kShort> merges;  // [i]: of tokens i and i + 1
  size_t count = piece.size();
  for (size_t i = 0; i < count; ++i) tokens[i] = byte_ids_[static_cast<unsigned char>(piece[i])];
  for (size_t i = 0; i + 1 < count; ++i) merges[i] = merges_.find(tokens[i], tokens[i + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i)
      if (merges[i] < merges[best]) best = i;
    if (merges[best] == MergeTable::kNone) break;
    tokens[best] = static_cast<int32_t>(merges[best] & 0xffffffffu);
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      tokens[i] = tokens[i + 1];
      merges[i - 1] = merges[i];
    }
    if (best + 1 < count) merges[best] = merges_.find(tokens[best], tokens[best + 1]);
    if (best > 0) merges[best - 1] = merges_.find(tokens[best - 1], tokens[best]);
  }
  ids.insert(ids.end(), tokens.begin(), tokens.begin() + count);
}

void Merger::encode_long(std::string_view piece, std::vector<int32_t>& ids) {
  nodes_.clear();
  noted_.clear();
  for (size_t i = 0; i < piece.size(); ++i) {
    const auto at = static_cast<int32_t>(i);
    nodes_.push_back({byte_ids_[static_cast<unsigned char>(piece[i])], at - 1, i + 1 < piece.size() ? at + 1 : kNone});
  }
  for (size_t i = 0; i + 1 < piece.size(); ++i)
    if (const uint64_t merge = merge_at(static_cast<int32_t>(i)); merge != MergeTable::kNone) noted_.push_back(merge);
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
  for (int32_t at = 0; at != kNone; at = nodes_[static_cast<size_t>(at)].next) ids.push_back(nodes_[static_cast<size_t>(at)].id);
}

/// The merge of the node at `at` with its next one, the rank above and the place below: the least is the strongest, and the leftmost of
/// equals. REQUIRES: it has a next one.
uint64_t Merger::merge_at(int32_t at) const {
  const Node& node = nodes_[static_cast<size_t>(at)];
  const uint64_t merge = merges_.find(node.id, nodes_[static_cast<size_t>(node.next)].id);
  return merge == MergeTable::kNone ? merge : (merge & ~uint64_t{0xffffffffu}) | static_cast<uint32_t>(at);
}

void Merger::note(int32_t at) {
  if (const uint64_t merge = merge_at(at); merge != MergeTable::kNone) heap_.push(merge);
}

void Merger::apply(uint64_t merge) {
  const auto at = static_cast<int32_t>(merge & 0xffffffffu);
  Node& node = nodes_[static_cast<size_t>(at)];
  if (node.id == kNone || node.next == kNone) return;
  Node& next = nodes_[static_cast<size_t>(node.next)];
  const uint64_t found = merges_.find(node.id, next.id);
  if (found >> 32 != merge >> 32) return;  // the pair that was noted is gone
  node.id = static_cast<int32_t>(found & 0xffffffffu);
  node.next = next.next;
  next.id = kNone;
  if (node.next != kNone) {
    nodes_[static_cast<size_t>(node.next)].previous = at;
    note(at);
  }
  if (node.previous != kNone) note(node.previous);
}

}  // namespace aot
