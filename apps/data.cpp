// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/data/image_dataset.h"
#include "aot/data/meta.h"
#include "aot/data/prepare.h"
#include "aot/data/token_dataset.h"
#include "aot/io/error.h"
#include "aot/io/json.h"
#include "apps/command.h"
#include "apps/data_images.h"

namespace aot {
namespace {

constexpr int64_t kSampleTokens = 64;
constexpr size_t kFrequentTokens = 10;

struct PrepareState {
  PrepareOptions options;
  ImagePrepareOptions images;
  Fields fields;
};

struct InspectState {
  std::string path, tokenizer, sheet;
  int64_t vocab_size = 0;
  Fields fields;
};

void run_prepare(const PrepareOptions& options, const GeneralOptions& general) {
  catch_stop_signals();
  const std::optional<PrepareResult> result = prepare_text(options);
  if (!result) {
    log_warning("stopped; nothing was written");
    return;
  }
  const DatasetMeta& meta = result->meta;
  const int64_t val_tokens = meta.val ? meta.val->tokens : 0;
  if (general.json) {
    print(dump_json({{"out", options.out},
                     {"tokenizer", meta.tokenizer},
                     {"vocab_size", meta.vocab_size},
                     {"dtype", dtype_text(meta.bytes_per_token)},
                     {"train_tokens", meta.train.tokens},
                     {"val_tokens", val_tokens},
                     {"text_bytes", result->text_bytes},
                     {"files", meta.source_files},
                     {"skipped", result->skipped}}) +
          "\n");
    return;
  }
  print(fmt::format("{}: {} train and {} val tokens of {} ({} ids, {}) from {} in {} file{}\n", escaped(options.out), meta.train.tokens,
                    val_tokens, meta.tokenizer, meta.vocab_size, dtype_text(meta.bytes_per_token),
                    bytes_text(static_cast<double>(result->text_bytes)), meta.source_files, meta.source_files == 1 ? "" : "s"));
}

/// The most frequent ids with their counts, most frequent first.
Json most_frequent(const TextDataset& data, const TokenFile& file) {
  constexpr int64_t kPiece = 1 << 18;
  std::vector<int64_t> counts, tokens(static_cast<size_t>(std::min(kPiece, file.tokens())));
  for (int64_t first = 0; first < file.tokens(); first += kPiece) {
    const int64_t count = std::min(kPiece, file.tokens() - first);
    file.read(first, count, tokens.data());
    for (int64_t i = 0; i < count; ++i) {
      const auto id = static_cast<size_t>(tokens[static_cast<size_t>(i)]);
      if (id >= counts.size()) counts.resize(id + 1);
      ++counts[id];
    }
  }
  std::vector<int32_t> ids;
  for (size_t id = 0; id < counts.size(); ++id)
    if (counts[id] > 0) ids.push_back(static_cast<int32_t>(id));
  const auto count_of = [&counts](int32_t id) { return counts[static_cast<size_t>(id)]; };
  const size_t shown = std::min(kFrequentTokens, ids.size());
  std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(shown), ids.end(),
                    [&count_of](int32_t a, int32_t b) { return count_of(a) != count_of(b) ? count_of(a) > count_of(b) : a < b; });
  Json rows = Json::array();
  for (size_t i = 0; i < shown; ++i)
    rows.push_back(
        {{"id", ids[i]}, {"count", count_of(ids[i])}, {"text", data.tokenizer ? Json(data.tokenizer->decode({ids[i]})) : Json()}});
  return {{"distinct", ids.size()}, {"most_frequent", rows}};
}

/// "' ' 15.2 %, 'e' 8.5 %".
std::string frequent_text(const Json& rows, int64_t tokens) {
  std::string line;
  for (const Json& row : rows) {
    const double percent = 100.0 * static_cast<double>(row["count"].get<int64_t>()) / static_cast<double>(tokens);
    const std::string name =
        row["text"].is_null() ? std::to_string(row["id"].get<int64_t>()) : "'" + escaped(std::string(row["text"]), 40) + "'";
    line += fmt::format("{}{} {:.1f} %", line.empty() ? "" : ", ", name, percent);
  }
  return line;
}

/// What one split holds, every id of it checked.
Json split_facts(const TextDataset& data, const TokenFile& file, const std::string& sha256) {
  file.check_all();
  Json facts = {
      {"tokens", file.tokens()}, {"dtype", dtype_text(file.bytes_per_token())}, {"sha256", sha256}, {"sample_ids", Json::array()}};
  std::vector<int64_t> first(static_cast<size_t>(std::min(kSampleTokens, file.tokens())));
  file.read(0, static_cast<int64_t>(first.size()), first.data());
  const std::vector<int32_t> ids(first.begin(), first.end());
  for (const int32_t id : ids) facts["sample_ids"].push_back(id);
  facts["sample"] = data.tokenizer ? Json(data.tokenizer->decode(ids)) : Json();
  facts.update(most_frequent(data, file));
  return facts;
}

void run_inspect(const InspectState& state, const GeneralOptions& general) {
  if (state.path.empty()) throw UsageError("data inspect needs a folder or a .bin");
  if (holds_images(state.path)) return run_inspect_images(state.path, state.sheet, general);
  if (!state.sheet.empty()) throw UsageError("--sheet: these are no prepared images");
  const TextDataset data = open_text_dataset(state.path, state.tokenizer, state.vocab_size);
  const Json facts = {{"path", data.path},
                      {"tokenizer", data.tokenizer ? Json(data.tokenizer->kind()) : Json()},
                      {"vocab_size", data.vocab_size},
                      {"train", split_facts(data, *data.train, data.train_sha256)},
                      {"val", data.val ? split_facts(data, *data.val, data.val_sha256) : Json()}};
  if (general.json) return print(dump_json(facts) + "\n");
  print(fmt::format("tokenizer   {}, {} ids\n", data.tokenizer ? data.tokenizer->kind() : "not known", data.vocab_size));
  for (const char* split : {"train", "val"}) {
    const Json& part = facts[split];
    if (part.is_null()) {
      print(fmt::format("{:<11} none\n", split));
      continue;
    }
    print(fmt::format("{:<11} {} tokens, {}, all in the vocabulary, {} distinct\n", split, part["tokens"].get<int64_t>(),
                      std::string(part["dtype"]), part["distinct"].get<int64_t>()));
    print(fmt::format("  frequent  {}\n", frequent_text(part["most_frequent"], part["tokens"].get<int64_t>())));
    const std::string sample = part["sample"].is_null() ? dump_json(part["sample_ids"]) : escaped(std::string(part["sample"]));
    print(fmt::format("  begins    {}\n", sample));
  }
}

}  // namespace

void add_data(Subcommand& command) {
  command.app.require_subcommand(1);
  set_examples(command.app, "aot data prepare book.txt --tokenizer char --out data/book\naot data inspect data/book\n");

  const auto prepare = std::make_shared<PrepareState>();
  CLI::App* app = command.app.add_subcommand("prepare", "text -> train.bin, val.bin, tokenizer.json, meta.json; images -> packed images");
  app->fallthrough();
  set_examples(*app,
               "aot data prepare book.txt --tokenizer char --out data/book\n"
               "aot data prepare texts/ more.txt --tokenizer gpt2:gpt2-bpe --val 0.05 --out data/texts\n"
               "zcat pages.jsonl.gz | aot data prepare - --field text --tokenizer bpe --vocab 8192 --out data/pages\n"
               "aot data prepare --images train-images.gz --labels train-labels.gz --val-images t10k-images.gz --val-labels t10k-labels.gz "
               "--out data/digits\n"
               "aot data prepare --images photos/ --skip-bad --out data/photos\n");
  app->add_option("FILE", prepare->options.inputs, "text files, and folders to read recursively; -: stdin");
  prepare->fields.heading("Prepare");
  prepare->fields
      .add("tokenizer", prepare->options.tokenizer,
           "byte, char, bpe (trained on this text), gpt2:DIR (encoder.json + vocab.bpe), tiktoken:FILE:PATTERN, or a tokenizer.json")
      .metavar("NAME");
  prepare->fields.add("vocab", prepare->options.vocab, "bpe: tokens in all").min(257).max(1'000'000);
  prepare->fields.add("field", prepare->options.field, "the files are JSON lines; each line's text is in this field").metavar("NAME");
  prepare->fields.add("val", prepare->options.val, "share of the tokens or images, the last ones, kept for validation").min(0);
  prepare->fields.add("out", prepare->options.out, "folder to make; must not exist or be empty").metavar("DIR");
  describe(prepare->fields, prepare->images);
  prepare->fields.add_flags(*app);
  app->callback([prepare, &general = command.general] {
    resolve(prepare->fields);
    const bool are_images = !prepare->images.images.empty();
    for (const char* name : {"labels", "val-images", "val-labels", "format", "size", "skip-bad", "val-count"})
      if (!are_images && prepare->fields.at(name).origin != Origin::default_value) throw UsageError(str("--", name, " is for --images"));
    if (!are_images) {
      if (prepare->options.tokenizer != "bpe" && prepare->fields.at("vocab").origin == Origin::flag)
        throw UsageError("--vocab is for --tokenizer bpe");
      prepare->options.threads = threads_of(general);
      return run_prepare(prepare->options, general);
    }
    for (const char* name : {"vocab", "field"})
      if (prepare->fields.at(name).origin == Origin::flag) throw UsageError(str("--", name, " is for text, not for --images"));
    if (!prepare->options.inputs.empty()) throw UsageError("data prepare takes text files or --images, not both");
    if (prepare->fields.at("tokenizer").origin == Origin::flag) throw UsageError("--tokenizer is for text, not for --images");
    prepare->images.pack.val = prepare->options.val;
    prepare->images.pack.out = prepare->options.out;
    prepare->images.folder.threads = threads_of(general);
    run_prepare_images(prepare->images, general);
  });

  add_make_images(command);

  const auto inspect = std::make_shared<InspectState>();
  app = command.app.add_subcommand("inspect", "what a prepared folder or a .bin holds, every token or image checked");
  app->fallthrough();
  set_examples(*app,
               "aot data inspect data/book\naot data inspect val.bin --tokenizer gpt2:gpt2-bpe --json\naot data inspect data/shapes "
               "--sheet shapes.png\n");
  app->add_option("PATH", inspect->path, "prepared folder, folder of nanoGPT, or .bin")->required();
  inspect->fields.heading("Inspect");
  inspect->fields.add("tokenizer", inspect->tokenizer, "for a .bin without its own: byte, gpt2:DIR, or a tokenizer.json").metavar("NAME");
  inspect->fields.add("vocab-size", inspect->vocab_size, "for a .bin without a tokenizer: ids are below this").min(0);
  inspect->fields.add("sheet", inspect->sheet, "images: PNG to write with the first of them, masks beside").metavar("FILE");
  inspect->fields.add_flags(*app);
  app->callback([inspect, &general = command.general] {
    resolve(inspect->fields);
    run_inspect(*inspect, general);
  });
}

}  // namespace aot
