// SPDX-License-Identifier: Apache-2.0
#include "aot/data/added_tokens.h"

#include <algorithm>

namespace aot {

void AddedTokens::Trie::add(std::string_view token, int32_t id, bool special) {
  starts_[static_cast<unsigned char>(token[0])] = true;
  int32_t node = 0;
  for (const char byte : token) {
    if (!special) nodes_[static_cast<size_t>(node)].before_ordinary = true;
    const uint64_t key = static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(byte);
    const auto [found, is_new] = children_.try_emplace(key, static_cast<int32_t>(nodes_.size()));
    if (is_new) nodes_.emplace_back();
    node = found->second;
  }
  nodes_[static_cast<size_t>(node)].id = id;
  nodes_[static_cast<size_t>(node)].special = special;
  if (!special) longest_ = std::max(longest_, token.size());
}

int32_t AddedTokens::Trie::child(int32_t node, char byte) const {
  const auto found = children_.find(static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(byte));
  return found == children_.end() ? -1 : found->second;
}

std::pair<int32_t, size_t> AddedTokens::Trie::find(std::string_view text, size_t at, bool special) const {
  std::pair<int32_t, size_t> best = {-1, 0};
  if (!starts_[static_cast<unsigned char>(text[at])]) return best;
  int32_t node = 0;
  for (size_t end = at; end < text.size() && (node = child(node, text[end])) >= 0;) {
    ++end;
    const Node& here = nodes_[static_cast<size_t>(node)];
    if (here.id >= 0 && (special || !here.special)) best = {here.id, end - at};
  }
  return best;
}

bool AddedTokens::Trie::goes_on(std::string_view text, size_t at, size_t cut) const {
  if (!starts_[static_cast<unsigned char>(text[at])]) return false;
  int32_t node = 0;
  for (; at < cut; ++at)
    if ((node = child(node, text[at])) < 0) return false;
  return nodes_[static_cast<size_t>(node)].before_ordinary;
}

AddedTokens::AddedTokens(const BpeFiles& vocabulary) {
  const auto add = [&](int32_t id, bool special) {
    const bool late = std::binary_search(vocabulary.normalized.begin(), vocabulary.normalized.end(), id);
    (late ? normalized_ : first_).add(vocabulary.tokens[static_cast<size_t>(id)], id, special);
  };
  for (const int32_t id : vocabulary.special) add(id, true);
  for (const int32_t id : vocabulary.added) add(id, false);
  has_ordinary_ = !vocabulary.added.empty();
  has_any_ = has_ordinary_ || !vocabulary.special.empty();
}

void AddedTokens::split_by(const Trie& trie, std::string_view text, bool special, const std::function<void(std::string_view)>& on_text,
                           const std::function<void(int32_t)>& on_token) const {
  size_t taken = 0;
  for (size_t at = 0; at < text.size();) {
    const auto [id, bytes] = trie.find(text, at, special);
    if (id < 0) {
      ++at;
      continue;
    }
    if (at > taken) on_text(text.substr(taken, at - taken));
    on_token(id);
    at = taken = at + bytes;
  }
  if (taken < text.size()) on_text(text.substr(taken));
}

void AddedTokens::split(std::string_view text, bool special, const std::function<void(std::string_view)>& on_text,
                        const std::function<void(int32_t)>& on_token) const {
  split_by(
      first_, text, special, [&](std::string_view rest) { split_by(normalized_, rest, special, on_text, on_token); }, on_token);
}

bool AddedTokens::may_span(std::string_view text, size_t cut) const {
  for (const Trie* trie : {&first_, &normalized_})
    for (size_t at = cut - std::min(cut, trie->longest()); at < cut; ++at)
      if (trie->goes_on(text, at, cut)) return true;
  return false;
}

}  // namespace aot
