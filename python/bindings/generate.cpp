// SPDX-License-Identifier: Apache-2.0
// Text from a language model.
#include "aot/generate/generate.h"

#include <limits>
#include <optional>

#include "aot/core/random.h"
#include "aot/generate/text_stream.h"
#include "aot/io/error.h"
#include "python/bindings/bindings.h"

namespace aot {
namespace {

py::list places_of(const Sample& sample) {
  const auto pair = [](const TokenLogprob& token) { return py::make_tuple(token.token, token.logprob); };
  py::list out;
  for (const PlaceLogprobs& place : sample.logprobs) {
    py::list best;
    for (const TokenLogprob& token : place.best) best.append(pair(token));
    out.append(py::make_tuple(pair(place.taken), best));
  }
  return out;
}

/// `count` samples that continue `prompt`, the seed of each one more than that of the one before; a dictionary for each.
py::list generate(const LanguageModel& model, const Tokenizer& tokenizer, const std::string& prompt, int64_t count,
                  std::optional<int64_t> first_seed, int64_t tokens, std::vector<std::string> stop, int64_t logprobs,
                  const std::string& dtype, const py::kwargs& sampling) {
  GenerateOptions options{.tokens = tokens, .stop = std::move(stop), .logprobs = logprobs};
  set_keywords(options.sampling, sampling, "generate");
  if (count < 1 || tokens < 0 || logprobs < 0) throw UsageError("generate: n must be at least 1, tokens and logprobs not negative");
  if (first_seed && *first_seed < 0) throw UsageError(str("generate: seed must not be negative (found ", *first_seed, ")"));
  (void)TextStream(options.stop);  // refuses an empty stop string before the prompt is read
  const uint64_t seed = first_seed ? static_cast<uint64_t>(*first_seed) : fresh_seed();
  if (seed > static_cast<uint64_t>(std::numeric_limits<int64_t>::max() - (count - 1)))
    throw UsageError(str("generate: the seeds of ", count, " samples from ", seed, " on pass 2^63 - 1"));

  std::vector<Sample> samples;
  unlocked([&] {
    const NumberFormat format = parse_number_format(dtype);
    Generator generator(model, tokenizer, prompt, format, count);
    for (int64_t first = 0; first < count; first += generator.at_once()) {
      poll_signals();
      for (Sample& sample : generator.samples(seed + static_cast<uint64_t>(first), std::min(generator.at_once(), count - first), options,
                                              [](int64_t) { poll_signals(); }))
        samples.push_back(std::move(sample));
    }
  });
  py::list out;
  for (const Sample& sample : samples) {
    py::dict row;
    row["text"] = sample.text;
    row["ids"] = sample.tokens;
    row["finish"] = finish_name(sample.finish);
    row["seed"] = sample.seed;
    row["logprobs"] = places_of(sample);
    out.append(row);
  }
  return out;
}

}  // namespace

void bind_generate(py::module_& module) {
  module.def("generate", generate);
}

}  // namespace aot
