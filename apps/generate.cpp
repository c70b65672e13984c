// SPDX-License-Identifier: Apache-2.0
// aot generate: text from a trained model.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>

#include <fmt/format.h>

#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/core/random.h"
#include "aot/generate/generate.h"
#include "aot/generate/text_stream.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/json.h"
#include "aot/models/checkpoint.h"
#include "apps/command.h"

namespace aot {
namespace {

constexpr uint64_t kPromptLimit = 64u << 20;

struct GenerateFlags {
  std::string model, prompt, prompt_file;
  int64_t samples = 1;
  std::string dtype = "float32";
  GenerateOptions options;
};

void describe(Fields& fields, GenerateFlags& flags) {
  fields.heading("Generate");
  fields.add("model", flags.model, "run folder (its best checkpoint, else its last) or checkpoint").metavar("RUN|CHECKPOINT");
  fields.add("prompt", flags.prompt, "text to continue; - reads it from stdin").metavar("TEXT");
  fields.add("prompt-file", flags.prompt_file, "file with the text to continue, taken byte for byte; - reads stdin").metavar("FILE");
  fields.add("tokens", flags.options.tokens, "at most so many new tokens").min(0);
  fields.add("n", flags.samples, "samples; sample i has the seed of the first plus i").min(1).max(1000000);
  fields.add("logprobs", flags.options.logprobs, "also tell the log-probability of each token and of the N best; needs --json")
      .min(0)
      .max(1000);
  fields.add("dtype", flags.dtype, "how weights and caches are stored while decoding; sums are float32").choices(number_format_names());
  describe(fields, flags.options.sampling);
}

std::string read_stdin() {
  std::string text;
  char buffer[65536];
  while (true) {
    const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw FileError("stdin", "", str("read error: ", std::strerror(errno)), "", ExitCode::io);
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > kPromptLimit) throw FileError("stdin", "", str("larger than ", kPromptLimit, " bytes"));
  }
}

std::string read_prompt(const GenerateFlags& flags) {
  if (!flags.prompt.empty() && !flags.prompt_file.empty()) throw UsageError("--prompt and --prompt-file exclude each other");
  if (flags.prompt == "-" || flags.prompt_file == "-") return read_stdin();
  return flags.prompt_file.empty() ? flags.prompt : read_file(flags.prompt_file, kPromptLimit, true);
}

/// What a model writes is data: on a terminal its control characters are shown, not obeyed.
std::string safe_on_terminal(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t plain = std::min(text.find_first_of("\n\t"), text.size());
    out += escaped(text.substr(0, plain), std::string::npos);
    if (plain < text.size()) out += text[plain];
    text.remove_prefix(std::min(plain + 1, text.size()));
  }
  return out;
}

Json token_json(const TokenLogprob& token, const Tokenizer& tokenizer) {
  return {{"token", token.token}, {"text", replace_invalid_utf8(tokenizer.bytes_of(token.token))}, {"logprob", token.logprob}};
}

Json sample_json(const Sample& sample, const Generator& generator, const Tokenizer& tokenizer) {
  Json json = {{"text", sample.text},
               {"tokens", sample.tokens.size()},
               {"finish", finish_name(sample.finish)},
               {"seed", sample.seed},
               {"prompt_tokens", generator.prompt_tokens()},
               {"ids", sample.tokens}};
  if (sample.logprobs.empty()) return json;
  Json places = Json::array();
  for (const PlaceLogprobs& place : sample.logprobs) {
    Json entry = token_json(place.taken, tokenizer);
    for (const TokenLogprob& best : place.best) entry["best"].push_back(token_json(best, tokenizer));
    places.push_back(std::move(entry));
  }
  json["logprobs"] = std::move(places);
  return json;
}

/// Names where the prompt came from when the tokenizer does not take it.
Generator read_by(const LanguageModel& model, const Tokenizer& tokenizer, const std::string& prompt, const GenerateFlags& flags) {
  try {
    return {model, tokenizer, prompt, parse_number_format(flags.dtype), flags.samples};
  } catch (const Error& error) {
    const bool from_stdin = flags.prompt == "-" || flags.prompt_file == "-";
    throw FileError(from_stdin                  ? "stdin"
                    : flags.prompt_file.empty() ? "--prompt"
                                                : flags.prompt_file,
                    "", error.problem, error.hint, error.code);
  }
}

/// One sample appears as it grows; several are drawn together and appear when all of a batch have ended.
void write_samples(Generator& generator, uint64_t seed, const GenerateFlags& flags, const GeneralOptions& general,
                   const Tokenizer& tokenizer) {
  const bool on_terminal = isatty(STDOUT_FILENO) == 1;
  const auto shown = [&](std::string_view text) { print(on_terminal ? safe_on_terminal(text) : std::string(text)); };
  if (flags.samples == 1 && !general.json) {
    generator.sample(seed, flags.options, shown);
    print("\n");
    return;
  }
  Progress progress("generate", static_cast<double>(flags.samples) * static_cast<double>(flags.options.tokens), "tokens");
  for (int64_t first = 0; first < flags.samples; first += generator.at_once()) {
    const int64_t before = generator.speed().new_tokens;
    const auto samples = generator.samples(seed + static_cast<uint64_t>(first), std::min(generator.at_once(), flags.samples - first),
                                           flags.options, [&](int64_t tokens) { progress.update(static_cast<double>(before + tokens)); });
    for (const Sample& sample : samples) {
      if (general.json) {
        print(dump_json(sample_json(sample, generator, tokenizer)) + "\n");
        continue;
      }
      if (sample.seed != seed) print("---------------\n");
      shown(sample.text);
      print("\n");
    }
  }
}

double rate(int64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

void run_generate(const GenerateFlags& flags, const GeneralOptions& general) {
  if (flags.model.empty()) throw UsageError("generate needs --model RUN|CHECKPOINT");
  if (flags.options.logprobs > 0 && !general.json) throw UsageError("--logprobs needs --json");
  (void)TextStream(flags.options.stop);  // refuses an empty stop string before the model is read
  const uint64_t seed = general.seed >= 0 ? static_cast<uint64_t>(general.seed) : fresh_seed();
  if (seed > static_cast<uint64_t>(std::numeric_limits<int64_t>::max() - (flags.samples - 1)))
    throw UsageError(str("--seed: the seeds of ", flags.samples, " samples from ", seed, " on pass 2^63 - 1"));
  const std::string prompt = read_prompt(flags);

  const std::string checkpoint = find_checkpoint(flags.model);
  const auto model = load_model(checkpoint);
  model->to(parse_device(general.device), at::kFloat);
  const TokenizerPtr tokenizer = read_tokenizer(checkpoint + "/tokenizer.json");
  Generator generator = read_by(*model, *tokenizer, prompt, flags);
  if (generator.left_out() > 0)
    log_warning(str("the prompt has ", generator.prompt_tokens(), " tokens, more than the context; the first ", generator.left_out(),
                    " are left out"));

  write_samples(generator, seed, flags, general, *tokenizer);
  const GenerateSpeed& speed = generator.speed();
  log_info(fmt::format("prompt {} tokens, {:.0f} tokens/s; new {} tokens, {:.0f} tokens/s; {}", speed.prompt_tokens,
                       rate(speed.prompt_tokens, speed.prompt_seconds), speed.new_tokens, rate(speed.new_tokens, speed.new_seconds),
                       flags.samples == 1 ? fmt::format("seed {}", seed) : fmt::format("seeds {} to {}", seed, seed + flags.samples - 1)));
}

}  // namespace

void add_generate(Subcommand& command) {
  struct State {
    GenerateFlags flags;
    Fields fields;
  };
  const auto state = std::make_shared<State>();
  describe(state->fields, state->flags);
  set_examples(command.app,
               "  aot generate --model run --prompt 'def main' --tokens 300\n"
               "  aot generate --model run --prompt-file start.txt --temperature 0.8 --top-p 0.95 --n 3 --seed 1\n"
               "  echo -n 'ROMEO:' | aot generate --model run --prompt - --stop $'\\n\\n'\n"
               "  aot generate --model run/checkpoints/last --greedy --tokens 50 --logprobs 5 --json\n");
  state->fields.add_flags(command.app);
  command.app.add_option("--stop", state->flags.options.stop, "end the text before this one; may be given several times")
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->group("Generate");
  command.app.callback([state, &general = command.general] {
    resolve(state->fields);
    run_generate(state->flags, general);
  });
}

}  // namespace aot
