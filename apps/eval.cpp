// SPDX-License-Identifier: Apache-2.0
// aot eval: how good a model is, under named protocols.
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/data/token_dataset.h"
#include "aot/eval/ngrams.h"
#include "aot/eval/text.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/json.h"
#include "aot/models/checkpoint.h"
#include "apps/command.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kTextLimit = 256u << 20;  // a text file is read and tokenised in memory; prepared data is not

struct EvalFlags {
  std::string model, data, split = "val", tokenizer;
  int64_t stride = 0, vocab_size = 0;
};

void describe_data(Fields& fields, EvalFlags& flags) {
  fields.add("tokenizer", flags.tokenizer, "of a .bin that has none beside it: a tokenizer.json, byte, or a folder with GPT-2's files")
      .metavar("FILE|byte|DIR");
}

template <class T>
Json or_null(const std::optional<T>& value) {
  return value.has_value() ? Json(*value) : Json(nullptr);
}

/// Tokens to score and what they were made with.
struct EvalData {
  TextDataset dataset;        // of a folder or .bin
  std::vector<int32_t> text;  // of a text file
  TokenizerPtr tokenizer;     // may be null
  TokenSource source;
};

/// REQUIRES of both evaluations: a token, and one before it.
TokenSource checked(TokenSource source, const std::string& path) {
  if (source.tokens < 2) throw FileError(path, "", str("need at least 2 tokens to score one (found ", source.tokens, ")"));
  return source;
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

/// Opens --data for a model: text is tokenised by the model's tokenizer, prepared data must have been.
std::unique_ptr<EvalData> open_data(const EvalFlags& flags, const std::string& checkpoint, int64_t vocab_size) {
  auto data = std::make_unique<EvalData>();
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

void run_text(const EvalFlags& flags, const GeneralOptions& general) {
  if (flags.model.empty()) throw UsageError("eval text needs --model RUN|CHECKPOINT");
  if (flags.data.empty()) throw UsageError("eval text needs --data DIR|FILE");
  const std::string checkpoint = find_checkpoint(flags.model);
  const auto model = load_model(checkpoint);
  model->to(parse_device(general.device), at::kFloat);
  const auto data = open_data(flags, checkpoint, model->options().vocab_size);
  const TextScore score = score_text(*model, data->source, data->tokenizer.get(), flags.stride, true).value();

  if (general.json) {
    const Json json = {{"task", "text"},
                       {"protocol", score.protocol},
                       {"loss", score.loss},
                       {"bits_per_byte", or_null(score.bits_per_byte)},
                       {"perplexity", score.perplexity},
                       {"tokens", score.tokens},
                       {"stderr", or_null(score.standard_error)},
                       {"windows", score.windows},
                       {"bytes", score.bytes},
                       {"context", model->options().context},
                       {"stride", flags.stride == 0 ? model->options().context : flags.stride},
                       {"split", is_prepared(flags.data) ? Json(flags.split) : Json(nullptr)},
                       {"model", checkpoint},
                       {"data", flags.data}};
    print(dump_json(json) + "\n");
    return;
  }
  print(fmt::format(
      "loss        {:.4f} nats per token{}\n", score.loss,
      score.standard_error ? fmt::format(", standard error {:.4f} over {} windows", *score.standard_error, score.windows) : ""));
  print(fmt::format("perplexity  {:.4f}\n", score.perplexity));
  if (score.bits_per_byte) print(fmt::format("bits/byte   {:.4f}\n", *score.bits_per_byte));
  print(fmt::format("tokens      {} scored, protocol {}\n", score.tokens, score.protocol));
}

void run_ngrams(const EvalFlags& flags, const GeneralOptions& general) {
  if (flags.data.empty()) throw UsageError("eval ngrams needs --data DIR");
  if (!fs::is_directory(flags.data))  // one file cannot be both what is counted and what is scored
    throw FileError(flags.data, "", fs::exists(flags.data) ? "not a folder of prepared text" : "no such folder",
                    "make one: aot data prepare");
  const TextDataset dataset = open_text_dataset(flags.data, flags.tokenizer, flags.vocab_size);
  const NgramScore score = score_ngrams(split_source(dataset, "train"), split_source(dataset, "val"), dataset.vocab_size, true);
  if (general.json) {
    const Json json = {{"task", "ngrams"},
                       {"unigram", score.unigram},
                       {"bigram", score.bigram},
                       {"tokens", score.tokens},
                       {"train_tokens", score.train_tokens},
                       {"vocab_size", dataset.vocab_size},
                       {"smoothing", "absolute discounting; interpolated Kneser-Ney"},
                       {"discounts", {score.unigram_discount, score.bigram_discount}},
                       {"data", flags.data}};
    print(dump_json(json) + "\n");
    return;
  }
  print(fmt::format("unigram  {:.4f} nats per token\nbigram   {:.4f} nats per token\n", score.unigram, score.bigram));
  print(fmt::format("tokens   {} scored, {} counted\n", score.tokens, score.train_tokens));
}

struct State {
  EvalFlags flags;
  Fields fields;
};

CLI::App* add_task(Subcommand& command, const char* name, const char* summary, const std::shared_ptr<State>& state,
                   void (*run)(const EvalFlags&, const GeneralOptions&)) {
  CLI::App* app = command.app.add_subcommand(name, summary);
  app->fallthrough();
  app->callback([state, run, &general = command.general] {
    resolve(state->fields);
    run(state->flags, general);
  });
  return app;
}

}  // namespace

void add_eval(Subcommand& command) {
  command.app.require_subcommand(1);

  const auto text = std::make_shared<State>();
  CLI::App* app = add_task(command, "text", "loss, perplexity and bits per byte of a language model on text", text, run_text);
  text->fields.heading("Evaluate");
  text->fields.add("model", text->flags.model, "run folder (its best checkpoint, else its last) or checkpoint").metavar("RUN|CHECKPOINT");
  text->fields.add("data", text->flags.data, "prepared folder, .bin, or a text file that the model's tokenizer reads").metavar("DIR|FILE");
  text->fields.add("split", text->flags.split, "which part of a prepared folder").choices({"val", "train"});
  text->fields.add("stride", text->flags.stride, "start of each window after the one before, only the new part is scored; 0: the context")
      .min(0);
  describe_data(text->fields, text->flags);
  set_examples(*app,
               "  aot eval text --model run --data data\n"
               "  aot eval text --model run/checkpoints/last --data book.txt --stride 32 --json\n");
  text->fields.add_flags(*app);

  const auto ngrams = std::make_shared<State>();
  app =
      add_task(command, "ngrams", "cross-entropy of unigrams and bigrams fitted on the train split, on the val split", ngrams, run_ngrams);
  ngrams->fields.heading("Evaluate");
  ngrams->fields.add("data", ngrams->flags.data, "prepared folder").metavar("DIR");
  describe_data(ngrams->fields, ngrams->flags);
  ngrams->fields.add("vocab-size", ngrams->flags.vocab_size, "ids of a .bin without a tokenizer").min(0);
  set_examples(*app, "  aot eval ngrams --data data --json\n");
  ngrams->fields.add_flags(*app);
}

}  // namespace aot
