// SPDX-License-Identifier: Apache-2.0
#include "aot/data/token_dataset.h"

#include <filesystem>

#include "aot/data/meta.h"
#include "aot/io/error.h"
#include "aot/io/json.h"
#include "aot/io/sha256.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

constexpr int kBareBytesPerToken = 2;

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

void set_tokenizer(TextDataset& data, TokenizerPtr tokenizer) {
  data.tokenizer = std::move(tokenizer);
  data.tokenizer_sha256 = sha256_hex(data.tokenizer->to_json());
  data.vocab_size = data.tokenizer->vocab_size();
}

std::unique_ptr<TokenFile> open_described(const std::string& path, const DatasetMeta& meta, const SplitMeta& split) {
  auto file = std::make_unique<TokenFile>(path, meta.bytes_per_token, meta.vocab_size, split.sha256);
  if (file->tokens() != split.tokens) throw FileError(path, "", str("meta.json says ", split.tokens, " tokens, file has ", file->tokens()));
  return file;
}

/// A folder with meta.json; with `only`, that .bin of it as both splits.
void open_prepared(TextDataset& data, const std::string& only, const std::string& tokenizer_path) {
  const DatasetMeta meta = read_dataset_meta(data.path + "/meta.json");
  const std::string own = data.path + "/tokenizer.json";
  set_tokenizer(data, read_tokenizer(own));
  if (file_sha256(InputFile(own)) != meta.tokenizer_sha256)
    throw FileError(own, "", "digest mismatch: not the tokenizer that meta.json was written for");
  if (data.vocab_size != meta.vocab_size)
    throw FileError(own, "", str("another tokenizer: has ", data.vocab_size, " tokens, meta.json says ", meta.vocab_size));
  if (!tokenizer_path.empty() && sha256_hex(open_tokenizer(tokenizer_path)->to_json()) != data.tokenizer_sha256)
    throw FileError(tokenizer_path, "", str("another tokenizer than the one of ", escaped(data.path, 80)));
  if (only == "val.bin" && !meta.val) throw FileError(data.path + "/meta.json", "", "knows no val.bin");
  const std::string train = only.empty() ? "train.bin" : only, val = only.empty() ? "val.bin" : only;
  const auto open = [&](const std::string& name, std::string& sha256) {
    const SplitMeta& split = name == "val.bin" ? *meta.val : meta.train;
    sha256 = split.sha256;
    return open_described(data.path + "/" + name, meta, split);
  };
  data.train = open(train, data.train_sha256);
  if (val != "val.bin" || meta.val) data.val = open(val, data.val_sha256);
}

/// nanoGPT's folder, or one .bin.
void open_bare(TextDataset& data, const std::string& tokenizer_path, int64_t vocab_size) {
  const bool is_folder = fs::is_directory(data.path);
  const std::string train = is_folder ? data.path + "/train.bin" : data.path;
  const std::string val = is_folder ? data.path + "/val.bin" : data.path;
  const std::string own = data.path + "/tokenizer.json";
  if (is_folder && !exists(train))
    throw FileError(data.path, "", "no such file in this folder: train.bin", "make one by aot data prepare FILE... --out DIR");
  if (!tokenizer_path.empty()) {
    set_tokenizer(data, open_tokenizer(tokenizer_path));
  } else if (is_folder && exists(own)) {
    set_tokenizer(data, read_tokenizer(own));
  } else if (vocab_size > 0) {
    data.vocab_size = vocab_size;
  } else {
    throw UsageError(str(escaped(data.path), ": has no tokenizer of its own"), "give --tokenizer or --vocab-size");
  }
  const auto open = [&](const std::string& path, std::string& sha256) {
    auto file = std::make_unique<TokenFile>(path, kBareBytesPerToken, data.vocab_size);
    sha256 = file_sha256(InputFile(path));
    return file;
  };
  data.train = open(train, data.train_sha256);
  if (exists(val)) data.val = open(val, data.val_sha256);
}

}  // namespace

TextDataset open_text_dataset(const std::string& path, const std::string& tokenizer_path, int64_t vocab_size) {
  TextDataset data;
  data.path = path;
  std::error_code ignored;
  const std::string name = fs::path(path).filename().string();
  if (fs::is_directory(path, ignored) && exists(path + "/meta.json")) {
    open_prepared(data, "", tokenizer_path);
  } else if ((name == "train.bin" || name == "val.bin") && exists(folder_of(path) + "/meta.json")) {
    data.path = folder_of(path);
    open_prepared(data, name, tokenizer_path);
  } else {
    open_bare(data, tokenizer_path, vocab_size);
  }
  return data;
}

}  // namespace aot
