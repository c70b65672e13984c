// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

#include "aot/core/log.h"
#include "aot/data/tokenizer.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/json.h"
#include "apps/command.h"

namespace aot {
namespace {

constexpr uint64_t kMaxInput = 1u << 30;
constexpr size_t kBytesWorthTiming = 1'000'000;

struct TokenizerState {
  std::string tokenizer, text, file;
  CLI::Option* text_given = nullptr;
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
  if (state.tokenizer.empty()) throw UsageError("needs --tokenizer byte|gpt2:DIR|PATH/tokenizer.json");
  if (state.tokenizer == "char")
    throw UsageError("--tokenizer char: its characters are those of a text", "give the tokenizer.json of prepared text");
  return open_tokenizer(state.tokenizer);
}

/// Names the file in what the tokenizer finds wrong with the text.
std::vector<int32_t> encode_input(const Tokenizer& tokenizer, const std::string& text, const std::string& path) {
  try {
    return tokenizer.encode(text);
  } catch (const Error& error) {
    throw FileError(path.empty() ? "input" : path, "", error.problem, error.hint, error.code);
  }
}

void run_encode(const TokenizerState& state, const GeneralOptions& general) {
  const TokenizerPtr tokenizer = tokenizer_of(state);
  const std::string text = input_of(state);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<int32_t> ids = encode_input(*tokenizer, text, state.file);
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

void add_direction(Subcommand& command, const char* name, const char* summary, const char* input, const char* examples,
                   void (*run)(const TokenizerState&, const GeneralOptions&)) {
  const auto state = std::make_shared<TokenizerState>();
  CLI::App* app = command.app.add_subcommand(name, summary);
  app->fallthrough();
  set_examples(*app, examples);
  state->text_given = app->add_option("INPUT", state->text, str(input, "; without it and --file: stdin"));
  state->fields.heading("Tokenizer");
  state->fields.add("tokenizer", state->tokenizer, "byte, gpt2:DIR (encoder.json + vocab.bpe), tokenizer.json or a folder that holds it")
      .metavar("NAME");
  state->fields.add("file", state->file, "read the input from this file").metavar("FILE");
  state->fields.add_flags(*app);
  app->callback([state, run, &general = command.general] {
    resolve(state->fields);
    run(*state, general);
  });
}

}  // namespace

void add_tokenizer(Subcommand& command) {
  command.app.require_subcommand(1);
  set_examples(command.app, "aot tokenizer encode \"To be\" --tokenizer data/book\naot tokenizer decode \"32 53\" --tokenizer data/book\n");
  add_direction(command, "encode", "text -> ids", "the text",
                "aot tokenizer encode \"Hello\" --tokenizer gpt2:gpt2-bpe\naot tokenizer encode --file book.txt --tokenizer byte --json\n",
                run_encode);
  add_direction(command, "decode", "ids -> the bytes they stand for, exactly", "the ids, e.g. \"15496 11\"",
                "aot tokenizer decode \"15496 11\" --tokenizer gpt2:gpt2-bpe\n", run_decode);
}

}  // namespace aot
