// SPDX-License-Identifier: Apache-2.0
#include "aot/io/tokenizer_json.h"

#include <algorithm>
#include <iterator>

#include "aot/io/bpe_builder.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/json.h"

namespace aot {
namespace {

constexpr uint64_t kMaxBytes = 64u << 20;
constexpr int kMaxDepth = 64;

bool is_one_of(std::string_view key, std::initializer_list<std::string_view> known) {
  return std::find(known.begin(), known.end(), key) != known.end();
}

class Parser {
 public:
  Parser(std::string_view text, const std::string& path) : text_(text), path_(path), builder_(path) {}

  TokenizerFile run() {
    read_settings();
    if (!has_vocabulary_) throw FileError(path_, "", "missing key 'model.vocab'");
    const TokenizerKind kind = kind_of_settings();
    read_added_tokens();
    builder_.place();
    const size_t merges = read_merges();
    TokenizerFile file;
    file.kind = kind;
    file.split = split_;
    file.ignore_merges = ignore_merges_;
    if (kind != TokenizerKind::bpe && merges > 0) fail("merges", "merges without ByteLevel splitting");
    file.vocabulary = kind == TokenizerKind::chars ? builder_.finish_characters() : finish_bytes();
    if (kind == TokenizerKind::byte) check_byte_order(file.vocabulary);
    return file;
  }

 private:
  [[noreturn]] void fail(const std::string& key, const std::string& what) const {
    throw FileError(path_, "key '" + escaped(key, 60) + "'", "not supported: " + what);
  }

  /// The small value that `json` stands at.
  Json subtree(JsonReader& json) {
    const uint64_t start = json.offset();
    json.skip();
    return parse_json(text_.substr(start, json.offset() - start), path_);
  }

  void read_settings() {
    JsonReader json(text_, path_, kMaxDepth);
    json.enter_object();
    std::vector<std::string> seen;
    for (std::string key; json.next_member(key);) {
      once(seen, key, json);
      if (key == "model") {
        read_model(json);
      } else if (is_one_of(key, {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
                                 "decoder"})) {
        settings_[key] = subtree(json);
      } else {
        fail(key, "unknown key");
      }
    }
    json.finish();
    for (const char* key : {"truncation", "padding", "normalizer"})
      if (!setting(key).is_null()) fail(key, escaped(dump_json(setting(key)), 80));
    if (setting("version") != "1.0") fail("version", dump_json(setting("version")));
    check_post_processor(setting("post_processor"));
  }

  /// Those that change no ids but those of special tokens around a text.
  void check_post_processor(const Json& part) const {
    if (part.is_null() || is_one_of(type_of(part), {"ByteLevel", "TemplateProcessing"})) return;
    if (type_of(part) != "Sequence" || !part.contains("processors") || !part["processors"].is_array())
      fail("post_processor", type_of(part));
    for (const Json& inner : part["processors"])
      if (!is_one_of(type_of(inner), {"ByteLevel", "TemplateProcessing"})) fail("post_processor", type_of(inner));
  }

  void once(std::vector<std::string>& seen, const std::string& key, const JsonReader& json) const {
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) json.fail("duplicate key '" + escaped(key, 60) + "'");
    if (seen.size() == 64) json.fail("too many keys");
    seen.push_back(key);
  }

  void read_model(JsonReader& json) {
    json.enter_object();
    std::vector<std::string> seen;
    for (std::string key; json.next_member(key);) {
      once(seen, key, json);
      if (key == "vocab") {
        builder_.read_vocabulary(json);
        has_vocabulary_ = true;
      } else if (key == "merges") {
        json.skip();  // read when the vocabulary is known, whichever comes first
      } else {
        check_model_setting(key, subtree(json));
      }
    }
  }

  void check_model_setting(const std::string& key, const Json& value) {
    if (key == "type") {
      if (value != "BPE") fail("model.type", escaped(dump_json(value), 60) + ", need BPE");
    } else if (key == "unk_token") {
      has_unknown_token_ = !value.is_null();
    } else if (is_one_of(key, {"dropout", "continuing_subword_prefix", "end_of_word_suffix"})) {
      if (!value.is_null() && value != "") fail("model." + key, escaped(dump_json(value), 60));
    } else if (key == "ignore_merges" && value.is_boolean()) {
      ignore_merges_ = value.get<bool>();
    } else if (is_one_of(key, {"byte_fallback", "ignore_merges"})) {
      if (value != false) fail("model." + key, escaped(dump_json(value), 60));
    } else if (key != "fuse_unk") {
      fail("model." + key, "unknown key");
    }
  }

  [[nodiscard]] const Json& setting(const char* key) const {
    static const Json none;
    const auto found = settings_.find(key);
    return found == settings_.end() ? none : *found;
  }

  static std::string type_of(const Json& part) {
    const bool has_type = part.is_object() && part.contains("type") && part["type"].is_string();
    return has_type ? part["type"].get<std::string>() : escaped(dump_json(part), 60);
  }

  TokenizerKind kind_of_settings() {
    const Json& split = setting("pre_tokenizer");
    const Json& decoder = setting("decoder");
    if (split.is_null()) {
      if (decoder.is_null() || type_of(decoder) != "Fuse")
        fail("decoder", type_of(decoder) + ", need Fuse where there is no pre-tokenizer");
      if (has_unknown_token_) fail("model.unk_token", "a token for unknown characters");
      return TokenizerKind::chars;
    }
    if (type_of(decoder) != "ByteLevel") fail("decoder", type_of(decoder));
    if (type_of(split) == "Sequence") {
      read_split_sequence(split);
      return TokenizerKind::bpe;
    }
    return splits_by_itself(split) ? TokenizerKind::bpe : TokenizerKind::byte;
  }

  /// Whether a part of the pre-tokenizer, which must be ByteLevel, splits by GPT-2's pattern.
  bool splits_by_itself(const Json& part) const {
    if (type_of(part) != "ByteLevel") fail("pre_tokenizer", type_of(part));
    bool uses_pattern = true;
    for (const auto& [key, value] : part.items()) {
      if (!is_one_of(key, {"type", "trim_offsets"}) && !value.is_boolean()) fail("pre_tokenizer." + key, escaped(dump_json(value), 60));
      if (key == "add_prefix_space" && value == true) fail("pre_tokenizer.add_prefix_space", "true");
      if (key == "use_regex") uses_pattern = value.get<bool>();
      if (!is_one_of(key, {"type", "trim_offsets", "add_prefix_space", "use_regex"})) fail("pre_tokenizer." + key, "unknown key");
    }
    return uses_pattern;
  }

  /// Split by a known pattern, then ByteLevel without its own.
  void read_split_sequence(const Json& sequence) {
    const char* kKey = "pre_tokenizer.pretokenizers";
    if (!sequence.contains("pretokenizers") || !sequence["pretokenizers"].is_array()) fail(kKey, "need an array");
    const Json& parts = sequence["pretokenizers"];
    std::string types;
    for (const Json& part : parts) types += (types.empty() ? "" : ", ") + type_of(part);
    if (parts.size() != 2 || type_of(parts[0]) != "Split") fail(kKey, escaped(types, 80) + "; need Split, ByteLevel");
    if (splits_by_itself(parts[1])) fail(kKey, "a second split by ByteLevel");
    const Json& split = parts[0];
    // With `invert`, the pattern says what to keep; what lies between two pieces is nothing, since the patterns leave nothing out.
    const bool keeps = split.value("behavior", Json()) == "Isolated" && split.value("invert", Json()) == false;
    const bool keeps_inverted = split.value("behavior", Json()) == "Removed" && split.value("invert", Json()) == true;
    if (!keeps && !keeps_inverted) fail(kKey, "Split that is not Isolated");
    const Json pattern = split.value("pattern", Json());
    const bool is_regex = pattern.is_object() && pattern.size() == 1 && pattern.contains("Regex") && pattern["Regex"].is_string();
    const std::optional<SplitKind> kind = is_regex ? split_of_regex(pattern["Regex"].get<std::string>()) : std::nullopt;
    if (!kind) fail(kKey, "the pattern " + escaped(dump_json(pattern), 80) + ", need that of " + split_names());
    split_ = *kind;
  }

  void read_added_tokens() {
    const Json& added = setting("added_tokens");
    if (added.is_null()) return;
    if (!added.is_array()) throw FileError(path_, "key 'added_tokens'", "need an array");
    for (const Json& token : added) {
      const std::string text = json_text(token, "content", path_), shown = "'" + escaped(text, 60) + "'";
      const auto id = token.find("id");
      if (id == token.end() || !id->is_number_integer() || *id < 0 || *id > 999'999)
        throw FileError(path_, "special token " + shown, "id must be an integer from 0 to 999999");
      for (const char* flag : {"single_word", "lstrip", "rstrip"})
        if (token.contains(flag) && json_bool(token, flag, path_)) fail("added_tokens", "token " + shown + " with " + flag);
      const bool special = json_bool(token, "special", path_);
      builder_.add({text, id->get<int64_t>(), special, token.contains("normalized") && json_bool(token, "normalized", path_)});
    }
  }

  BpeFiles finish_bytes() {
    return builder_.finish_bytes(ignore_merges_ ? BpeBuilder::Unmade::whole_piece : BpeBuilder::Unmade::refused, path_);
  }

  size_t read_merges() {
    JsonReader json(text_, path_, kMaxDepth);
    size_t count = 0;
    json.enter_object();
    for (std::string key; json.next_member(key);) {
      if (key != "model") {
        json.skip();
        continue;
      }
      json.enter_object();
      for (std::string inner; json.next_member(inner);) {
        if (inner != "merges") {
          json.skip();
          continue;
        }
        json.enter_array();
        for (; json.next_item(); ++count) read_merge(json);
      }
    }
    return count;
  }

  /// "left right", or ["left", "right"].
  void read_merge(JsonReader& json) {
    if (json.kind() == JsonReader::Kind::text) {
      const std::string merge = json.text();
      const size_t space = merge.find(' ');
      if (space == std::string::npos || merge.find(' ', space + 1) != std::string::npos)
        builder_.fail_merge(path_, str("need two parts with one space between them (found '", escaped(merge, 60), "')"));
      builder_.add_merge(std::string_view(merge).substr(0, space), std::string_view(merge).substr(space + 1), path_);
      return;
    }
    if (json.kind() != JsonReader::Kind::array) builder_.fail_merge(path_, "need a text or two texts");
    std::vector<std::string> parts;
    json.enter_array();
    while (json.next_item()) {
      if (parts.size() == 2) builder_.fail_merge(path_, "need two parts (found more)");
      parts.push_back(json.text());
    }
    if (parts.size() != 2) builder_.fail_merge(path_, str("need two parts (found ", parts.size(), ")"));
    builder_.add_merge(parts[0], parts[1], path_);
  }

  void check_byte_order(const BpeFiles& vocabulary) const {
    for (size_t byte = 0; byte < 256; ++byte)
      if (vocabulary.tokens[byte] != std::string(1, static_cast<char>(byte)))
        fail("model.vocab", str("bytes in another order: id ", byte, " is not byte ", byte));
  }

  std::string_view text_;
  const std::string& path_;
  BpeBuilder builder_;
  Json settings_ = Json::object();
  SplitKind split_ = SplitKind::gpt2;
  bool has_vocabulary_ = false, has_unknown_token_ = false, ignore_merges_ = false;
};

std::string quoted(const std::string& text) {
  return dump_json(Json(text));
}

}  // namespace

TokenizerFile parse_tokenizer_json(std::string_view text, const std::string& path) {
  if (text.size() > kMaxBytes) throw FileError(path, "", str("larger than ", limit_text(kMaxBytes)));
  return Parser(text, path).run();
}

TokenizerFile read_tokenizer_json(const std::string& path) {
  return parse_tokenizer_json(read_file(path, kMaxBytes), path);
}

std::string tokenizer_json_text(const TokenizerFile& file) {
  const BpeFiles& vocabulary = file.vocabulary;
  const bool is_bytes = file.kind != TokenizerKind::chars;
  const auto is_in = [](const std::vector<int32_t>& sorted, size_t id) {
    return std::binary_search(sorted.begin(), sorted.end(), static_cast<int32_t>(id));
  };
  const auto spelt = [&](size_t id) {
    const bool is_text = !is_bytes || is_in(vocabulary.special, id) || is_in(vocabulary.added, id);
    return is_text ? vocabulary.tokens[id] : to_byte_alphabet(vocabulary.tokens[id]);
  };

  std::vector<int32_t> added_ids;
  std::merge(vocabulary.special.begin(), vocabulary.special.end(), vocabulary.added.begin(), vocabulary.added.end(),
             std::back_inserter(added_ids));
  Json added = Json::array();
  for (const int32_t id : added_ids)
    added.push_back({{"id", id},
                     {"content", vocabulary.tokens[static_cast<size_t>(id)]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", is_in(vocabulary.normalized, static_cast<size_t>(id))},
                     {"special", is_in(vocabulary.special, static_cast<size_t>(id))}});
  const bool own_split = file.kind == TokenizerKind::bpe && file.split == SplitKind::gpt2;
  const Json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", own_split}};
  const Json pattern = {
      {"type", "Split"}, {"pattern", {{"Regex", std::string(split_regex(file.split))}}}, {"behavior", "Isolated"}, {"invert", false}};
  const Json sequence = {{"type", "Sequence"}, {"pretokenizers", Json::array({pattern, byte_level})}};
  const bool has_sequence = file.kind == TokenizerKind::bpe && !own_split;
  const Json split = has_sequence ? sequence : is_bytes ? byte_level : Json();
  const Json decoder = is_bytes ? byte_level : Json({{"type", "Fuse"}});

  // By hand, since inserting into an ordered JSON object takes quadratic time.
  std::string text =
      "{\n\"version\":\"1.0\",\n\"truncation\":null,\n\"padding\":null,\n\"added_tokens\":" + dump_json(added) +
      ",\n\"normalizer\":null,\n\"pre_tokenizer\":" + dump_json(split) + ",\n\"post_processor\":null,\n\"decoder\":" + dump_json(decoder) +
      ",\n\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,"
      "\"fuse_unk\":false,\"byte_fallback\":false,\"ignore_merges\":" +
      (file.ignore_merges ? "true" : "false") + ",\n\"vocab\":{";
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) text += (id == 0 ? "" : ",") + quoted(spelt(id)) + ":" + std::to_string(id);
  text += "},\n\"merges\":[";
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    const BpeMerge& merge = vocabulary.merges[i];
    text += (i == 0 ? "" : ",") + quoted(spelt(static_cast<size_t>(merge.left)) + " " + spelt(static_cast<size_t>(merge.right)));
  }
  return text + "]}\n}\n";
}

}  // namespace aot
