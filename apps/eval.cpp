// SPDX-License-Identifier: Apache-2.0
// aot eval: how good a model is, under named protocols.
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "aot/eval/ngrams.h"
#include "aot/io/error.h"
#include "apps/eval.h"
#include "apps/text_input.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

struct NgramFlags {
  TextFlags text;
  int64_t vocab_size = 0;
};

void run_ngrams(const NgramFlags& flags, const GeneralOptions& general) {
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

void add_ngrams(Subcommand& command) {
  struct State {
    NgramFlags flags;
    Fields fields;
  };
  const auto state = std::make_shared<State>();
  CLI::App* app = command.app.add_subcommand("ngrams", "cross-entropy of unigrams and bigrams fitted on the train split, on the val split");
  app->fallthrough();
  state->fields.heading("Evaluate");
  state->fields.add("data", state->flags.text.data, "prepared folder").metavar("DIR");
  describe_tokenizer(state->fields, state->flags.text);
  state->fields.add("vocab-size", state->flags.vocab_size, "ids of a .bin without a tokenizer").min(0);
  set_examples(*app, "  aot eval ngrams --data data --json\n");
  state->fields.add_flags(*app);
  app->callback([state, &general = command.general] {
    resolve(state->fields);
    run_ngrams(state->flags, general);
  });
}

}  // namespace

std::string percent_text(const std::optional<double>& share) {
  return share ? fmt::format("{:.2f} %", 100 * *share) : "-";
}

std::string number_text(const std::optional<double>& number) {
  return number ? fmt::format("{:.4f}", *number) : "-";
}

void add_eval(Subcommand& command) {
  command.app.require_subcommand(1);
  add_language_evaluations(command);
  add_ngrams(command);
  add_picture_evaluations(command);
  add_segmentation(command);
}

}  // namespace aot
