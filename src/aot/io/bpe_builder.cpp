// SPDX-License-Identifier: Apache-2.0
#include "aot/io/bpe_builder.h"

#include <algorithm>
#include <cstdio>

#include "aot/io/error.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

constexpr size_t kMaxTokens = 1'000'000, kMaxTokenBytes = 1024, kMaxMerges = 2'000'000;
constexpr size_t kMaxAddedBytes = 1u << 20;  // of all added tokens: finding them takes about 50 bytes for each of these

std::string shown(std::string_view token) {
  return "'" + escaped(token, 60) + "'";
}

bool is_in_brackets(std::string_view text) {
  return text.size() > 2 && ((text.front() == '<' && text.back() == '>') || (text.front() == '[' && text.back() == ']'));
}

std::string byte_text(int byte) {
  char text[8];
  std::snprintf(text, sizeof text, "0x%02x", byte);
  return text;
}

}  // namespace

int64_t read_token_id(JsonReader& json, const std::string& path, const std::string& token) {
  const auto fail = [&](std::string_view found) {
    throw FileError(path, "token " + shown(token),
                    str("id must be an integer from 0 to ", kMaxTokens - 1, " (found ", escaped(found, 40), ")"));
  };
  if (json.kind() != JsonReader::Kind::number) fail(kind_text(json.kind()));
  const std::string_view number = json.number();
  int64_t id = 0;
  if (!integer_of(number, id) || id < 0 || id >= static_cast<int64_t>(kMaxTokens)) fail(number);
  return id;
}

void BpeBuilder::read_vocabulary(JsonReader& json) {
  json.enter_object();
  for (std::string token; json.next_member(token);) {
    if (token.empty()) json.fail("empty token");
    if (token.size() > kMaxTokenBytes) json.fail(str("token longer than ", kMaxTokenBytes, " bytes"));
    if (entries_.size() == kMaxTokens) json.fail(str("more than ", kMaxTokens, " tokens"));
    const int64_t id = read_token_id(json, path_, token);
    entries_.push_back({token, static_cast<int32_t>(id)});
  }
  if (entries_.empty()) throw FileError(path_, "", "the vocabulary is empty");
}

void BpeBuilder::add(AddedToken token) {
  const char* what = token.special ? "special" : "added";
  if (token.text.empty()) throw FileError(path_, "", str(what, " token with id ", token.id, " is empty"));
  if (token.text.size() > kMaxTokenBytes) throw FileError(path_, "", str(what, " token longer than ", kMaxTokenBytes, " bytes"));
  if (entries_.size() == kMaxTokens) throw FileError(path_, "", str("more than ", kMaxTokens, " tokens"));
  entries_.push_back({std::move(token.text), static_cast<int32_t>(token.id), true, token.special, token.normalized});
}

void BpeBuilder::place() {
  // An added token that the vocabulary holds too: mark that one and drop the second.
  const auto name = [](const Entry& entry) { return entry.special ? "special token " : entry.added ? "added token " : ""; };
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return a.text != b.text ? a.text < b.text : a.added != b.added ? a.added < b.added : a.id < b.id;
  });
  size_t kept = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    if (kept > 0 && entries_[kept - 1].text == entry.text) {
      Entry& first = entries_[kept - 1];
      if (first.id != entry.id)
        throw FileError(
            path_, "",
            str(entry.added ? name(entry) : "duplicate token ", shown(entry.text), " has the ids ", first.id, " and ", entry.id));
      if (first.added == entry.added) throw FileError(path_, "", str("duplicate token ", shown(entry.text)));
      first.added = true;
      first.special = entry.special;
      first.normalized = entry.normalized;
      continue;
    }
    if (kept != i) entries_[kept] = std::move(entry);
    ++kept;
  }
  entries_.resize(kept);

  std::vector<const Entry*> by_id(kept, nullptr);
  const Entry* outside = nullptr;
  for (const Entry& entry : entries_) {
    if (static_cast<size_t>(entry.id) >= kept) {
      outside = outside == nullptr || entry.id < outside->id ? &entry : outside;
      continue;
    }
    const Entry*& slot = by_id[static_cast<size_t>(entry.id)];
    if (slot != nullptr)
      throw FileError(path_, "",
                      str(entry.special || slot->special ? "special token: " : "", "id ", entry.id, " is used by ", shown(slot->text),
                          " and ", shown(entry.text)));
    slot = &entry;
  }
  if (outside != nullptr && outside->added)
    throw FileError(path_, "",
                    str(name(*outside), shown(outside->text), ": id ", outside->id, " is outside the vocabulary of ", kept, " tokens"));
  const auto hole = std::find(by_id.begin(), by_id.end(), nullptr);
  if (hole != by_id.end()) throw FileError(path_, "", str("no token for id ", hole - by_id.begin(), " (ids go up to ", outside->id, ")"));

  texts_.resize(kept);
  flags_.resize(kept);
  for (Entry& entry : entries_) {
    const auto id = static_cast<size_t>(entry.id);
    texts_[id] = std::move(entry.text);
    flags_[id] = {"", entry.id, entry.added, entry.special, entry.normalized};
  }
  entries_ = {};
  ids_.reserve(texts_.size());
  for (size_t id = 0; id < texts_.size(); ++id) ids_.emplace(texts_[id], static_cast<int32_t>(id));
}

void BpeBuilder::fail_merge(const std::string& path, const std::string& problem) const {
  throw FileError(path, str("merge ", merges_.size() + 1), problem);
}

void BpeBuilder::add_merge(std::string_view left, std::string_view right, const std::string& path) {
  if (merges_.size() == kMaxMerges) throw FileError(path, "", str("more than ", kMaxMerges, " merges"));
  if (left.empty() || right.empty()) fail_merge(path, "need two parts with one space between them");
  if (left.size() + right.size() > kMaxTokenBytes) fail_merge(path, str("the result is longer than ", kMaxTokenBytes, " bytes"));
  BpeMerge merge;
  const auto id_of = [&](std::string_view text, const char* what) {
    const auto found = ids_.find(text);
    if (found == ids_.end()) fail_merge(path, str(what, " ", shown(text), " is not in the vocabulary"));
    return found->second;
  };
  merge.left = id_of(left, "the part");
  merge.right = id_of(right, "the part");
  merge.result = id_of(std::string(left) + std::string(right), "the result");
  merges_.push_back(merge);
}

void BpeBuilder::check_merges_differ(const std::string& path) const {
  std::vector<std::pair<uint64_t, size_t>> pairs;
  pairs.reserve(merges_.size());
  for (const BpeMerge& merge : merges_)
    pairs.emplace_back(static_cast<uint64_t>(merge.left) << 32 | static_cast<uint32_t>(merge.right), pairs.size() + 1);
  std::sort(pairs.begin(), pairs.end());
  for (size_t i = 1; i < pairs.size(); ++i)
    if (pairs[i].first == pairs[i - 1].first)
      throw FileError(path, str("merge ", pairs[i].second), str("repeats merge ", pairs[i - 1].second));
}

void BpeBuilder::check_added(const BpeFiles& files) const {
  size_t bytes = 0;
  for (const auto* ids : {&files.special, &files.added})
    for (const int32_t id : *ids) bytes += files.tokens[static_cast<size_t>(id)].size();
  if (bytes > kMaxAddedBytes) throw FileError(path_, "", str("added tokens of more than ", kMaxAddedBytes, " bytes in all"));
}

BpeFiles BpeBuilder::finish_bytes(Unmade unmade, const std::string& merges_path) {
  check_merges_differ(merges_path);
  std::vector<bool> made(texts_.size(), false);
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const auto found = ids_.find(to_byte_alphabet({&c, 1}));
    if (found == ids_.end()) throw FileError(path_, "", str("no token for byte ", byte_text(byte)));
    made[static_cast<size_t>(found->second)] = true;
  }
  for (const BpeMerge& merge : merges_) made[static_cast<size_t>(merge.result)] = true;
  for (size_t i = 0; i < merges_.size(); ++i)
    for (const int32_t part : {merges_[i].left, merges_[i].right})
      // A part that is found as a whole piece will do, but an added token may have any text: that is not of GPT-2's alphabet.
      if (!made[static_cast<size_t>(part)] && (unmade != Unmade::whole_piece || flags_[static_cast<size_t>(part)].added))
        throw FileError(merges_path, str("merge ", i + 1),
                        str("the part ", shown(texts_[static_cast<size_t>(part)]), " is made by no merge"));

  BpeFiles files;
  ids_.clear();  // its keys point into texts_
  for (size_t id = 0; id < texts_.size(); ++id) {
    std::string& text = texts_[id];
    const Entry& flags = flags_[id];
    std::string bytes;
    if (made[id] && flags.special) throw FileError(path_, "", str("special token ", shown(text), " is an ordinary token too"));
    if (flags.added) {
      // An ordinary token that is added too must stand for the text that it is found by.
      if (made[id] && (!from_byte_alphabet(text, bytes) || bytes != text))
        throw FileError(path_, "", str("added token ", shown(text), " is an ordinary token of other bytes too"));
      (flags.special ? files.special : files.added).push_back(static_cast<int32_t>(id));
      if (flags.normalized) files.normalized.push_back(static_cast<int32_t>(id));
    } else if (made[id] || (unmade == Unmade::whole_piece && from_byte_alphabet(text, bytes))) {
      from_byte_alphabet(text, bytes);
      text = bytes;
    } else if (unmade == Unmade::special_in_brackets && is_in_brackets(text)) {
      files.special.push_back(static_cast<int32_t>(id));
    } else {
      throw FileError(path_, "", str("token ", shown(text), " (id ", id, ") is made by no merge"),
                      "do vocabulary and merges belong together?");
    }
  }
  files.tokens = std::move(texts_);
  files.merges = std::move(merges_);
  check_added(files);
  return files;
}

BpeFiles BpeBuilder::finish_characters() {
  BpeFiles files;
  ids_.clear();
  for (size_t id = 0; id < texts_.size(); ++id) {
    const Utf8Char c = decode_utf8(texts_[id], 0);
    const bool is_character = c.valid && c.bytes == texts_[id].size();
    const Entry& flags = flags_[id];
    if (flags.added && !flags.special)
      throw FileError(path_, "", str("added token ", shown(texts_[id]), ": not supported without ByteLevel"));
    if (flags.special && is_character) throw FileError(path_, "", str("special token ", shown(texts_[id]), " is an ordinary token too"));
    if (!flags.special && !is_character)
      throw FileError(path_, "", str("token ", shown(texts_[id]), " is not one character: not supported without merges"));
    if (flags.special) files.special.push_back(static_cast<int32_t>(id));
    if (flags.normalized) files.normalized.push_back(static_cast<int32_t>(id));
  }
  files.tokens = std::move(texts_);
  check_added(files);
  return files;
}

}  // namespace aot
