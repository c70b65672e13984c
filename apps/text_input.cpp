// SPDX-License-Identifier: Apache-2.0
#include "apps/text_input.h"

#include <filesystem>

#include "aot/io/error.h"
#include "aot/io/file.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kTextLimit = 256u << 20;  // a text file is read and tokenised in memory; prepared data is not

/// Every use needs a token, and one before it.
TokenSource checked(TokenSource source, const std::string& path) {
  if (source.tokens < 2) throw FileError(path, "", str("need at least 2 tokens to score one (found ", source.tokens, ")"));
  return source;
}

std::vector<int32_t> encode_file(const std::string& path, const Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  const std::string text = read_file(path, kTextLimit);
  if (const auto kind = looks_like(text); !kind.empty() && kind != "HTML")
    throw FileError(path, "", str("looks like ", kind, ", need text"));
  try {
    tokenizer.encode(text, ids);
  } catch (const Error& error) {
    throw FileError(path, "", error.problem, error.hint);
  }
  return ids;
}

}  // namespace

void describe(Fields& fields, TextFlags& flags) {
  fields.add("data", flags.data, "prepared folder, .bin, or a text file that the model's tokenizer reads").metavar("DIR|FILE");
  fields.add("split", flags.split, "which part of a prepared folder").choices({"val", "train"});
  describe_tokenizer(fields, flags);
}

void describe_tokenizer(Fields& fields, TextFlags& flags) {
  fields.add("tokenizer", flags.tokenizer, "of a .bin that has none beside it: a tokenizer.json, byte, or a folder with GPT-2's files")
      .metavar("FILE|byte|DIR");
}

TokenSource split_source(const TextDataset& dataset, const std::string& split) {
  const TokenFile* file = split == "train" ? dataset.train.get() : dataset.val.get();
  if (file == nullptr) throw FileError(dataset.path, "", str("has no split '", split, "'"));
  file->check_all();
  return checked(source_of(*file), file->path());
}

bool is_prepared(const std::string& path) {
  return fs::is_directory(path) || path.ends_with(".bin");
}

std::unique_ptr<TextInput> open_text(const TextFlags& flags, const std::string& checkpoint, int64_t vocab_size) {
  auto data = std::make_unique<TextInput>();
  const std::string tokenizer_path = checkpoint + "/tokenizer.json";
  const TokenizerPtr models = fs::exists(tokenizer_path) ? read_tokenizer(tokenizer_path) : nullptr;
  if (!is_prepared(flags.data)) {
    if (!flags.tokenizer.empty()) throw UsageError("--tokenizer is for a .bin without one; a text file is read with the model's");
    if (models == nullptr)
      throw FileError(checkpoint, "", "no tokenizer.json to read text with", "prepare the text first: aot data prepare");
    data->text = encode_file(flags.data, *models);
    data->tokenizer = models;
    data->source = checked(source_of(data->text), flags.data);
    return data;
  }
  const bool bare = !fs::exists(fs::path(flags.data) / "meta.json");
  const std::string tokenizer = !flags.tokenizer.empty() || !bare || models == nullptr ? flags.tokenizer : tokenizer_path;
  data->dataset = open_text_dataset(flags.data, tokenizer, bare && tokenizer.empty() ? vocab_size : 0);
  data->tokenizer = data->dataset.tokenizer;
  if (models != nullptr && data->tokenizer != nullptr && models->to_json() != data->tokenizer->to_json())
    throw FileError(flags.data, "", "another tokenizer than the model's", str("the model has ", tokenizer_path));
  if (data->dataset.vocab_size > vocab_size)
    throw FileError(flags.data, "",
                    str("another tokenizer than the model's (found ", data->dataset.vocab_size, " ids, the model knows ", vocab_size, ")"));
  data->source = split_source(data->dataset, flags.split);
  return data;
}

}  // namespace aot
