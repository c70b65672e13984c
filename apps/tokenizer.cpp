// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/data/bpe_trainer.h"
#include "aot/data/encoder_team.h"
#include "aot/data/sources.h"
#include "aot/data/tokenizer.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/json.h"
#include "aot/io/output.h"
#include "aot/io/tokenizer_json.h"
#include "apps/command.h"

namespace aot {
namespace {

constexpr uint64_t kMaxInput = 1u << 30;
constexpr size_t kBytesWorthTiming = 1'000'000;

struct TokenizerState {
  std::string tokenizer, text, file;
  bool special = false;
  CLI::Option* text_given = nullptr;
  Fields fields;
};

struct TrainState {
  std::vector<std::string> inputs;
  std::string kind = "bpe", field, out;
  int64_t vocab = 0;
  Fields fields;
};

std::string read_stdin() {
  std::string text;
  char piece[1 << 16];
  for (size_t got = 0; (got = std::fread(piece, 1, sizeof piece, stdin)) > 0;) {
    text.append(piece, got);
    if (text.size() > kMaxInput) throw FileError("stdin", "", "larger than " + limit_text(kMaxInput));
  }
  if (std::ferror(stdin) != 0) throw FileError("stdin", "", str("read error: ", std::strerror(errno)), "", ExitCode::io);
  return text;
}

/// From the argument, else --file, else stdin.
std::string input_of(const TokenizerState& state) {
  const bool has_text = state.text_given->count() > 0;
  if (has_text && !state.file.empty()) throw UsageError("give the input as an argument or by --file, not both");
  if (has_text) return state.text;
  return state.file.empty() ? read_stdin() : read_file(state.file, kMaxInput, true);
}

TokenizerPtr tokenizer_of(const TokenizerState& state) {
  if (state.tokenizer.empty()) throw UsageError("needs --tokenizer byte|gpt2:DIR|tiktoken:FILE:PATTERN|PATH/tokenizer.json");
  if (state.tokenizer == "char")
    throw UsageError("--tokenizer char: its characters are those of a text", "give the tokenizer.json of prepared text");
  return open_tokenizer(state.tokenizer);
}

/// Names the file in what the tokenizer finds wrong with the text.
std::vector<int32_t> encode_input(const Tokenizer& tokenizer, const std::string& text, const TokenizerState& state, int64_t threads) {
  const std::string& path = state.file;
  try {
    if (!state.special) return encode_by_threads(tokenizer, text, threads);
    std::vector<int32_t> ids;
    tokenizer.encode_with_special(text, ids);
    return ids;
  } catch (const Error& error) {
    throw FileError(path.empty() ? "input" : path, "", error.problem, error.hint, error.code);
  }
}

void run_encode(const TokenizerState& state, const GeneralOptions& general) {
  const TokenizerPtr tokenizer = tokenizer_of(state);
  const std::string text = input_of(state);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<int32_t> ids = encode_input(*tokenizer, text, state, threads_of(general));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (text.size() >= kBytesWorthTiming)
    log_info(str(bytes_text(static_cast<double>(text.size())), " in ", std::lround(seconds * 1e3),
                 " ms: ", bytes_text(static_cast<double>(text.size()) / seconds), "/s"));
  if (general.json) return print(dump_json({{"ids", ids}, {"tokens", ids.size()}, {"bytes", text.size()}}) + "\n");
  std::string line;
  for (const int32_t id : ids) line += (line.empty() ? "" : " ") + std::to_string(id);
  print(line + "\n");
}

/// Ids between white space or commas, also in brackets as JSON has them.
std::vector<int32_t> parse_ids(const std::string& text) {
  constexpr const char* kBetween = " \t\r\n,[]";
  std::vector<int32_t> ids;
  for (size_t at = text.find_first_not_of(kBetween); at != std::string::npos; at = text.find_first_not_of(kBetween, at)) {
    const size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    const std::string word = text.substr(at, end - at);
    int32_t id = 0;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || stop != word.data() + word.size() || id < 0)
      throw FileError("ids", str("number ", ids.size() + 1), str("need an id from 0 on (found '", escaped(word, 40), "')"));
    ids.push_back(id);
    at = end;
  }
  return ids;
}

void run_decode(const TokenizerState& state, const GeneralOptions& general) {
  const TokenizerPtr tokenizer = tokenizer_of(state);
  const std::vector<int32_t> ids = parse_ids(input_of(state));
  const std::string text = tokenizer->decode(ids);
  print(general.json ? dump_json({{"text", text}, {"tokens", ids.size()}, {"bytes", text.size()}}) + "\n" : text);
}

void run_train(const TrainState& state, const GeneralOptions& general) {
  if (state.vocab == 0) throw UsageError("tokenizer train needs --vocab N");
  if (state.out.empty()) throw UsageError("tokenizer train needs --out FILE or DIR");
  catch_stop_signals();
  std::error_code ignored;
  const bool is_folder = state.out.back() == '/' || std::filesystem::is_directory(state.out, ignored);
  const std::string path = is_folder ? state.out + (state.out.back() == '/' ? "" : "/") + "tokenizer.json" : state.out;
  if (!is_folder) require_writable(path);
  ScanRequest request;
  request.field = state.field;
  const ScanResult scan = scan_sources(list_sources(state.inputs, state.field), request);
  if (scan.skipped > 0) log_info(str("skipped ", scan.skipped, " files that are empty or no text (--verbose names them)"));
  if (!scan.stopped && scan.sources.empty()) throw FileError(state.inputs.front(), "", "no text files in here, need at least one");
  if (is_folder && !scan.stopped) {
    make_folders(state.out);
    require_writable(path);
  }
  const auto start = std::chrono::steady_clock::now();
  const std::optional<TokenizerFile> file = scan.stopped ? std::nullopt : train_bpe(scan.sources, state.field, state.vocab);
  if (!file) return log_warning("stopped; nothing was written");
  write_file_atomically(path, tokenizer_json_text(*file));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const size_t tokens = file->vocabulary.tokens.size(), merges = file->vocabulary.merges.size();
  if (general.json)
    return print(dump_json({{"out", path},
                            {"kind", state.kind},
                            {"vocab_size", tokens},
                            {"merges", merges},
                            {"text_bytes", scan.bytes},
                            {"seconds", seconds}}) +
                 "\n");
  print(
      str(escaped(path), ": ", tokens, " tokens from ", bytes_text(static_cast<double>(scan.bytes)), " in ", duration_text(seconds), "\n"));
}

void add_train(Subcommand& command) {
  const auto state = std::make_shared<TrainState>();
  CLI::App* app = command.app.add_subcommand("train", "text -> a vocabulary and merges of its own, as tokenizer.json");
  app->fallthrough();
  set_examples(*app,
               "aot tokenizer train book.txt --vocab 8192 --out tokenizer.json\n"
               "aot tokenizer train texts/ --field text --vocab 32000 --out tokenizers/texts/\n");
  app->add_option("FILE", state->inputs, "text files, and folders to read recursively")->required();
  state->fields.heading("Train");
  state->fields.add("vocab", state->vocab, "tokens in all, <|endoftext|> with them").min(257).max(1'000'000);
  state->fields.add("kind", state->kind, "bpe: byte-level, GPT-2's pattern").choices({"bpe"});
  state->fields.add("field", state->field, "the files are JSON lines; each line's text is in this field").metavar("NAME");
  state->fields.add("out", state->out, "file to write, or folder to write tokenizer.json into").metavar("PATH");
  state->fields.add_flags(*app);
  app->callback([state, &general = command.general] {
    resolve(state->fields);
    run_train(*state, general);
  });
}

void add_direction(Subcommand& command, const char* name, const char* summary, const char* input, const char* examples,
                   void (*run)(const TokenizerState&, const GeneralOptions&)) {
  const auto state = std::make_shared<TokenizerState>();
  CLI::App* app = command.app.add_subcommand(name, summary);
  app->fallthrough();
  set_examples(*app, examples);
  state->text_given = app->add_option("INPUT", state->text, str(input, "; without it and --file: stdin"));
  state->fields.heading("Tokenizer");
  state->fields
      .add("tokenizer", state->tokenizer,
           "byte, gpt2:DIR (encoder.json + vocab.bpe), tiktoken:FILE:PATTERN (" + split_names() +
               "), tokenizer.json or a folder that holds it")
      .metavar("NAME");
  state->fields.add("file", state->file, "read the input from this file").metavar("FILE");
  if (run == run_encode) state->fields.add("special", state->special, "special tokens spelt out in the text become their ids");
  state->fields.add_flags(*app);
  app->callback([state, run, &general = command.general] {
    resolve(state->fields);
    run(*state, general);
  });
}

}  // namespace

void add_tokenizer(Subcommand& command) {
  command.app.require_subcommand(1);
  set_examples(command.app,
               "aot tokenizer encode \"To be\" --tokenizer data/book\naot tokenizer decode \"32 53\" --tokenizer data/book\n"
               "aot tokenizer train book.txt --vocab 8192 --out tokenizer.json\n");
  add_direction(command, "encode", "text -> ids", "the text",
                "aot tokenizer encode \"Hello\" --tokenizer gpt2:gpt2-bpe\naot tokenizer encode --file book.txt --tokenizer byte --json\n",
                run_encode);
  add_direction(command, "decode", "ids -> the bytes they stand for, exactly", "the ids, e.g. \"15496 11\"",
                "aot tokenizer decode \"15496 11\" --tokenizer gpt2:gpt2-bpe\n", run_decode);
  add_train(command);
}

}  // namespace aot
