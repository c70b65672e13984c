// SPDX-License-Identifier: Apache-2.0
// Byte-level BPE. Added tokens are found first; what is left is split into pieces, each piece is merged apart, and the ids of short pieces
// are remembered. Bytes that are not valid UTF-8 form pieces of their own, so any bytes survive encoding and decoding.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <unordered_map>

#include "aot/data/added_tokens.h"
#include "aot/data/bpe_merger.h"
#include "aot/data/split_pattern.h"
#include "aot/data/vocabulary.h"
#include "aot/io/error.h"

namespace aot {
namespace {

/// The ids of pieces that were there before. A slot keeps its last piece, so memory is constant.
class PieceCache {
 public:
  static constexpr size_t kMaxBytes = 16, kMaxIds = 7, kMaxSlots = 1u << 15;  // 1.5 MB: what a second-level cache holds
  struct Slot {
    std::array<uint64_t, 2> key = {};
    uint8_t bytes = 0, count = 0;  // no bytes: empty
    std::array<int32_t, kMaxIds> ids = {};
  };

  /// `text_bytes`: how much text is to come.
  explicit PieceCache(size_t text_bytes) : slots_(std::bit_ceil(std::clamp<size_t>(text_bytes / 16, 16, kMaxSlots))) {}

  /// The slot for a piece of 1 to kMaxBytes bytes, and its key; `readable` bytes may be read from where it starts.
  Slot& slot_of(std::string_view piece, size_t readable, std::array<uint64_t, 2>& key) {
    if (readable >= kMaxBytes) {
      std::memcpy(key.data(), piece.data(), kMaxBytes);
      if (piece.size() < 8) {
        key = {key[0] & mask(piece.size()), 0};
      } else if (piece.size() < 16) {
        key[1] &= mask(piece.size() - 8);
      }
    } else {
      key = {};
      std::memcpy(key.data(), piece.data(), piece.size());
    }
    const uint64_t mixed = (key[0] ^ std::rotl(key[1] * 0xff51afd7ed558ccdu, 32)) * 0x9e3779b97f4a7c15u;
    return slots_[(mixed >> 40) & (slots_.size() - 1)];
  }

 private:
  static uint64_t mask(size_t bytes) {
    static_assert(std::endian::native == std::endian::little);
    return (uint64_t{1} << 8 * bytes) - 1;
  }

  std::vector<Slot> slots_;
};

class BpeTokenizer : public VocabularyTokenizer {
 public:
  explicit BpeTokenizer(TokenizerFile file) : VocabularyTokenizer(std::move(file)), merges_(vocabulary().merges), added_(vocabulary()) {
    for (int32_t id = 0; id < vocab_size(); ++id) {
      const std::string_view bytes = bytes_of(id);
      if (bytes.size() == 1) byte_ids_[static_cast<unsigned char>(bytes[0])] = id;
      if (this->file().ignore_merges && !bytes.empty()) whole_.emplace(bytes, id);
    }
  }
  using Tokenizer::encode;

  [[nodiscard]] size_t safe_cut(std::string_view text) const override {
    constexpr int kTries = 1000;
    size_t cut = certain_split(text);
    for (int i = 0; !added_.empty(false) && cut > 0 && added_.may_span(text, cut); ++i) cut = i < kTries ? certain_split(text, cut - 1) : 0;
    return cut;
  }
  void encode(std::string_view text, std::vector<int32_t>& ids) const override { BpeEncoder(*this, text.size()).run(text, false, ids); }
  void encode_with_special(std::string_view text, std::vector<int32_t>& ids) const override {
    BpeEncoder(*this, text.size()).run(text, true, ids);
  }
  [[nodiscard]] std::unique_ptr<Encoder> encoder() const override {
    return std::make_unique<BpeEncoder>(*this, std::numeric_limits<size_t>::max());
  }

 private:
  class BpeEncoder : public Encoder {
   public:
    BpeEncoder(const BpeTokenizer& tokenizer, size_t text_bytes)
        : tokenizer_(tokenizer), merger_(tokenizer.merges_, tokenizer.byte_ids_), cache_(text_bytes) {}
    void encode(std::string_view text, std::vector<int32_t>& ids) override { run(text, false, ids); }

    void run(std::string_view text, bool special, std::vector<int32_t>& ids) {
      if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
        throw Error(ExitCode::failed, str("cannot encode ", text.size(), " bytes at once; need below 2 GiB"));
      if (tokenizer_.added_.empty(special)) return encode_ordinary(text, ids);
      tokenizer_.added_.split(
          text, special, [&](std::string_view between) { encode_ordinary(between, ids); }, [&](int32_t id) { ids.push_back(id); });
    }

   private:
    void encode_ordinary(std::string_view text, std::vector<int32_t>& ids) {
      const char* end = text.data() + text.size();
      split_bytes(tokenizer_.file().split, text,
                  [&](std::string_view piece) { encode_piece(piece, static_cast<size_t>(end - piece.data()), ids); });
    }

    void encode_piece(std::string_view piece, size_t readable, std::vector<int32_t>& ids) {
      if (piece.size() > PieceCache::kMaxBytes) return encode_new(piece, ids);
      std::array<uint64_t, 2> key;
      PieceCache::Slot& slot = cache_.slot_of(piece, readable, key);
      if (slot.bytes == piece.size() && slot.key == key) {
        ids.insert(ids.end(), slot.ids.begin(), slot.ids.begin() + slot.count);
        return;
      }
      const size_t before = ids.size();
      encode_new(piece, ids);
      const size_t count = ids.size() - before;
      if (count > PieceCache::kMaxIds) return;
      slot.key = key;
      slot.bytes = static_cast<uint8_t>(piece.size());
      slot.count = static_cast<uint8_t>(count);
      std::copy(ids.begin() + static_cast<std::ptrdiff_t>(before), ids.end(), slot.ids.begin());
    }

    void encode_new(std::string_view piece, std::vector<int32_t>& ids) {
      if (!tokenizer_.whole_.empty())
        if (const auto found = tokenizer_.whole_.find(piece); found != tokenizer_.whole_.end()) return ids.push_back(found->second);
      merger_.encode(piece, ids);
    }

    const BpeTokenizer& tokenizer_;
    Merger merger_;
    PieceCache cache_;
  };

  MergeTable merges_;
  AddedTokens added_;
  std::array<int32_t, 256> byte_ids_ = {};
  std::unordered_map<std::string_view, int32_t> whole_;  // with ignore_merges: tokens by their bytes
};

}  // namespace

TokenizerPtr make_bpe_tokenizer(TokenizerFile file) {
  return std::make_shared<BpeTokenizer>(std::move(file));
}

}  // namespace aot
