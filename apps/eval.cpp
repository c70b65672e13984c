// SPDX-License-Identifier: Apache-2.0
// aot eval: how good a model is, under named protocols.
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "aot/core/device.h"
#include "aot/eval/ngrams.h"
#include "aot/eval/text.h"
#include "aot/io/error.h"
#include "aot/models/checkpoint.h"
#include "apps/eval.h"
#include "apps/text_input.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

struct EvalFlags {
  std::string model;
  TextFlags text;
  int64_t stride = 0, vocab_size = 0;
};

void run_text(const EvalFlags& flags, const GeneralOptions& general) {
  if (flags.model.empty()) throw UsageError("eval text needs --model RUN|CHECKPOINT");
  if (flags.text.data.empty()) throw UsageError("eval text needs --data DIR|FILE");
  const std::string checkpoint = find_checkpoint(flags.model);
  const auto model = load_model(checkpoint);
  model->to(parse_device(general.device), at::kFloat);
  const auto data = open_text(flags.text, checkpoint, model->options().vocab_size);
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
                       {"split", is_prepared(flags.text.data) ? Json(flags.text.split) : Json(nullptr)},
                       {"model", checkpoint},
                       {"data", flags.text.data}};
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
  if (flags.text.data.empty()) throw UsageError("eval ngrams needs --data DIR");
  if (!fs::is_directory(flags.text.data))  // one file cannot be both what is counted and what is scored
    throw FileError(flags.text.data, "", fs::exists(flags.text.data) ? "not a folder of prepared text" : "no such folder",
                    "make one: aot data prepare");
  const TextDataset dataset = open_text_dataset(flags.text.data, flags.text.tokenizer, flags.vocab_size);
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
                       {"data", flags.text.data}};
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
  describe(text->fields, text->flags.text);
  text->fields.add("stride", text->flags.stride, "start of each window after the one before, only the new part is scored; 0: the context")
      .min(0);
  set_examples(*app,
               "  aot eval text --model run --data data\n"
               "  aot eval text --model run/checkpoints/last --data book.txt --stride 32 --json\n");
  text->fields.add_flags(*app);

  const auto ngrams = std::make_shared<State>();
  app =
      add_task(command, "ngrams", "cross-entropy of unigrams and bigrams fitted on the train split, on the val split", ngrams, run_ngrams);
  ngrams->fields.heading("Evaluate");
  ngrams->fields.add("data", ngrams->flags.text.data, "prepared folder").metavar("DIR");
  describe_tokenizer(ngrams->fields, ngrams->flags.text);
  ngrams->fields.add("vocab-size", ngrams->flags.vocab_size, "ids of a .bin without a tokenizer").min(0);
  set_examples(*app, "  aot eval ngrams --data data --json\n");
  ngrams->fields.add_flags(*app);

  add_picture_evaluations(command);
  add_segmentation(command);
}

}  // namespace aot
