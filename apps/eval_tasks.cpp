// SPDX-License-Identifier: Apache-2.0
// aot eval text, ptb, wikitext2, wikitext103, lambada, cbt-cn, cbt-ne: language models under named protocols.
#include "apps/eval_tasks.h"

#include <algorithm>

#include <fmt/format.h>

#include "aot/core/device.h"
#include "aot/eval/benchmark_text.h"
#include "aot/eval/published.h"
#include "aot/eval/text.h"
#include "aot/io/error.h"
#include "aot/io/output.h"
#include "aot/models/checkpoint.h"
#include "apps/eval.h"

namespace aot {
namespace {

struct EvalTask {
  const char *name, *summary, *examples;
  std::vector<std::string> protocols;  // the first is the default
  EvalScorer (*open)(const std::string& task, const EvalTaskFlags& flags);
  bool perplexity = false;  // some of its protocols score windows of text
  bool detokenise = false;
  bool prepared = false;  // reads prepared data and texts, no published file
};

TextProtocol text_protocol(const EvalTaskFlags& flags) {
  if (flags.protocol.starts_with("tost")) return TextProtocol::tost;
  if (flags.protocol == "word") return TextProtocol::word;
  return flags.protocol == "strided" || flags.stride > 0 ? TextProtocol::strided : TextProtocol::windows;
}

EvalScorer open_prepared(const std::string& /*task*/, const EvalTaskFlags& flags) {
  return [&flags](const LoadedLanguage& loaded, const SampleSink& sink) {
    const auto data = open_text(flags.text, loaded.checkpoint, loaded.model->options().vocab_size);
    TokenSource source = data->source;
    if (flags.limit > 0) source.tokens = std::min(source.tokens, flags.limit);
    const Tokenizer* tokenizer = data->tokenizer.get();
    EvalRow row = perplexity_row(loaded, source, tokenizer, flags, tokenizer == nullptr ? 0 : count_words(source, *tokenizer), sink);
    row.json["split"] = is_prepared(flags.text.data) ? Json(flags.text.split) : Json(nullptr);
    return row;
  };
}

/// The sets that the protocols of a task are defined on, each once.
std::string sets_text(const EvalTask& task) {
  std::string out;
  for (const std::string& protocol : task.protocols) {
    const PublishedSet set = published_set(task.name, protocol);
    const std::string text = set.file + ", published " + set.source;
    if (out.find(text) == std::string::npos) out += (out.empty() ? "" : ", or ") + text;
  }
  return out;
}

void describe(CLI::App& app, Fields& fields, EvalTaskFlags& flags, const EvalTask& task) {
  fields.heading("Evaluate");
  app.add_option("--model", flags.models, "run folder (its best checkpoint, else its last) or checkpoint; may be given again")
      ->type_name("RUN|CHECKPOINT")
      ->allow_extra_args(false)
      ->group("Evaluate");
  if (task.prepared)
    describe(fields, flags.text);
  else
    fields.add("data", flags.text.data, sets_text(task)).metavar("FILE");
  flags.protocol = task.protocols.front();
  fields.add("protocol", flags.protocol, "what is scored, and how: docs/eval.md").choices(task.protocols);
  fields.add("limit", flags.limit, task.prepared ? "the first N tokens alone; 0: all" : "the first N examples alone; 0: all").min(0);
  if (task.perplexity) {
    fields
        .add("stride", flags.stride,
             task.prepared
                 ? "start of each window after the one before, only the new part is scored; 0: the context; of strided 512, or half "
                   "of a context below 1024"
                 : "of protocol strided: start of each window after the one before; 0: 512, or half of a context below 1024")
        .min(0);
    fields.add("windows", flags.windows, "of protocol tost: windows drawn, by --seed or else by seed 1").min(1).max(1 << 26);
  }
  if (task.detokenise)
    fields.add("detokenise", flags.detokenise, "undo what the file's authors did to the text, with line feeds between lines");
  fields.add("log-samples", flags.log_samples, "write what each example gave to FILE, as JSON lines").metavar("FILE");
}

void check_flags(Fields& fields, const EvalTaskFlags& flags, const EvalTask& task) {
  const std::string command = str("eval ", task.name);
  if (flags.models.empty()) throw UsageError(command + " needs --model RUN|CHECKPOINT");
  if (flags.text.data.empty() && task.prepared) throw UsageError(command + " needs --data DIR|FILE");
  if (flags.text.data.empty()) {
    const PublishedSet set = published_set(task.name, flags.protocol);
    throw UsageError(command + " needs --data FILE: " + set.file, "published " + set.source);
  }
  const auto needs = [&](const char* flag, bool fits, const char* protocol) {
    Field* field = fields.find(flag);
    if (field != nullptr && field->origin != Origin::default_value && !fits)
      throw UsageError(str("--", flag, " is for --protocol ", protocol, ", not for ", flags.protocol));
  };
  needs("windows", flags.protocol.starts_with("tost"), "tost");
  needs("stride", flags.protocol == "strided" || (task.prepared && flags.protocol == "windows"), "strided");
  if (!flags.log_samples.empty()) require_writable(flags.log_samples);
}

LoadedLanguage load_language(const std::string& path, const GeneralOptions& general) {
  LoadedLanguage out{.checkpoint = find_checkpoint(path), .model = nullptr};
  out.model = load_model(out.checkpoint);
  out.model->to(parse_device(general.device), at::kFloat);
  return out;
}

std::string markdown_row(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const std::string& cell : cells) {
    out += ' ';
    for (const char c : cell) out += c == '|' ? std::string("\\|") : std::string(1, c);
    out += " |";
  }
  return out + "\n";
}

void print_row(const EvalRow& row, const std::string& model, bool first) {
  std::vector<std::string> head{"model", "protocol"}, cells{escaped(model), row.protocol};
  for (const auto& [column, text] : row.cells) {
    head.push_back(column);
    cells.push_back(text);
  }
  if (first) print(markdown_row(head) + markdown_row(std::vector<std::string>(head.size(), "---")));
  print(markdown_row(cells));
}

void run(const EvalTask& task, const EvalTaskFlags& flags, const GeneralOptions& general) {
  const EvalScorer score = task.open(task.name, flags);
  std::string samples;
  for (const std::string& path : flags.models) {
    const LoadedLanguage loaded = load_language(path, general);
    SampleSink sink;
    if (!flags.log_samples.empty())
      sink = [&](const Json& sample) {
        Json line = {{"task", task.name}, {"model", loaded.checkpoint}};
        line.update(sample);
        samples += dump_json(line) + "\n";
      };
    const EvalRow row = score(loaded, sink);
    if (!general.json) {
      print_row(row, loaded.checkpoint, path == flags.models.front());
      continue;
    }
    Json json = {{"task", task.name}, {"protocol", row.protocol}};
    json.update(row.json);
    json.update({{"model", loaded.checkpoint}, {"data", flags.text.data}});
    print(dump_json(json) + "\n");
  }
  if (!flags.log_samples.empty()) write_file_atomically(flags.log_samples, samples);
}

void add_eval_task(Subcommand& command, const EvalTask& task) {
  struct State {
    EvalTaskFlags flags;
    Fields fields;
  };
  const auto state = std::make_shared<State>();
  CLI::App* app = command.app.add_subcommand(task.name, task.summary);
  app->fallthrough();
  describe(*app, state->fields, state->flags, task);
  set_examples(*app, task.examples);
  state->fields.add_flags(*app);
  app->callback([state, task, &general = command.general] {
    resolve(state->fields);
    check_flags(state->fields, state->flags, task);
    if (general.seed >= 0) state->flags.seed = static_cast<uint64_t>(general.seed);
    run(task, state->flags, general);
  });
}

}  // namespace

EvalRow perplexity_row(const LoadedLanguage& loaded, const TokenSource& source, const Tokenizer* tokenizer, const EvalTaskFlags& flags,
                       int64_t words, const SampleSink& sink) {
  TextReading reading{.protocol = text_protocol(flags),
                      .stride = flags.stride,
                      .windows = flags.windows,
                      .seed = flags.seed,
                      .words = words,
                      .on_window = {},
                      .progress = true};
  if (sink)
    reading.on_window = [&](const Window& window, double nats) {
      sink({{"first", window.first}, {"read", window.length}, {"tokens", window.scored}, {"nats", nats}});
    };
  const TextScore score = score_text(*loaded.model, source, tokenizer, reading).value();
  const bool random = reading.protocol == TextProtocol::tost;
  EvalRow row{.protocol = random ? flags.protocol : score.protocol,
              .json = {{"loss", score.loss},
                       {"bits_per_byte", or_null(score.bits_per_byte)},
                       {"perplexity", score.perplexity},
                       {"tokens", score.tokens},
                       {"stderr", or_null(score.standard_error)},
                       {"count", score.tokens},
                       {"nats_per_word", or_null(score.nats_per_word)},
                       {"nats_per_word_stderr", or_null(score.word_error)},
                       {"windows", score.windows},
                       {"words", words == 0 ? Json(nullptr) : Json(words)},
                       {"bytes", score.bytes},
                       {"context", loaded.model->options().context},
                       {"stride", random ? Json(nullptr) : Json(score.stride)},
                       {"seed", random ? Json(flags.seed) : Json(nullptr)}},
              .cells = {{"nats/token", number_text(score.loss)},
                        {"±", number_text(score.standard_error)},
                        {"perplexity", number_text(score.perplexity)},
                        {"nats/word", number_text(score.nats_per_word)},
                        {"bits/byte", number_text(score.bits_per_byte)},
                        {"tokens", std::to_string(score.tokens)},
                        {"windows", std::to_string(score.windows)}}};
  return row;
}

void add_language_evaluations(Subcommand& command) {
  add_eval_task(command, {"text",
                          "loss, perplexity and bits per byte of language models on text",
                          "  aot eval text --model run --data data\n"
                          "  aot eval text --model run/checkpoints/last --data book.txt --stride 32 --json\n"
                          "  aot eval text --model run-1 --model run-2 --data data --protocol word\n",
                          {"windows", "strided", "word", "tost"},
                          open_prepared,
                          /*perplexity=*/true,
                          /*detokenise=*/false,
                          /*prepared=*/true});
  add_eval_task(command, {"ptb",
                          "perplexity on Penn Treebank",
                          "  aot eval ptb --protocol tost --model run --data ptb.test.txt --json\n"
                          "  aot eval ptb --protocol word --detokenise --model run --data ptb.test.txt\n",
                          {"tost", "windows", "strided", "word"},
                          open_lines,
                          /*perplexity=*/true,
                          /*detokenise=*/true});
  for (const char* name : {"wikitext2", "wikitext103"})
    add_eval_task(command, {name,
                            name == std::string("wikitext2") ? "perplexity on WikiText-2, raw" : "perplexity on WikiText-103, raw",
                            "  aot eval wikitext2 --protocol tost --model run --data wiki.test.raw --json\n"
                            "  aot eval wikitext103 --protocol word --model run-1 --model run-2 --data wiki.test.raw\n",
                            {"tost", "windows", "strided", "word"},
                            open_lines,
                            /*perplexity=*/true});
  add_eval_task(command, {"lambada",
                          "the last word of LAMBADA's passages, or the perplexity of the passages",
                          "  aot eval lambada --protocol tost --model run --data lambada_test.jsonl --json\n"
                          "  aot eval lambada --protocol openai-greedy --model run-1 --model run-2 --data lambada_test.jsonl --limit 500\n"
                          "  aot eval lambada --protocol tost-loss --model run --data lambada_test_plain_text.txt\n",
                          {"tost", "openai-greedy", "gpt2-paper", "tost-loss", "windows", "strided", "word"},
                          open_lambada,
                          /*perplexity=*/true});
  add_eval_task(command, {"cbt-cn",
                          "the Children's Book Test, common nouns",
                          "  aot eval cbt-cn --protocol tost --model run --data cbtest_CN_valid_2000ex.txt --json\n",
                          {"tost", "gpt2-paper"},
                          open_cloze});
  add_eval_task(command, {"cbt-ne",
                          "the Children's Book Test, named entities",
                          "  aot eval cbt-ne --protocol tost --model run --data cbtest_NE_valid_2000ex.txt --log-samples ne.jsonl\n",
                          {"tost", "gpt2-paper"},
                          open_cloze});
}

}  // namespace aot
