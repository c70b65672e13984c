// SPDX-License-Identifier: Apache-2.0
// aot bench decode: one token of each sequence at a fixed context, beside what the machine can read in that time.
#include <vector>

#include <ATen/ops/randint.h>
#include <fmt/format.h>

#include "aot/core/device.h"
#include "aot/core/random.h"
#include "aot/generate/decoder.h"
#include "aot/generate/sampling.h"
#include "aot/ops/ceilings.h"
#include "apps/bench_model.h"
#include "apps/bench_support.h"

namespace aot {
namespace {

constexpr size_t kLeastTokens = 256;

/// A decoder that holds all but one token of its context: each call reads the last one, chooses the next greedily and forgets it again.
class FullContext {
 public:
  FullContext(const LanguageModel& model, int64_t batch, const DecoderOptions& options)
      : held_(model.options().context - 1), tokens_(static_cast<size_t>(batch)), decoder_(model, options) {
    const at::Tensor ids = at::randint(model.options().vocab_size, {batch * held_}, make_generator(1), at::kInt);
    decoder_.read({ids.const_data_ptr<int32_t>(), static_cast<size_t>(ids.numel())}, held_);
  }
  void step() {
    decoder_.step(tokens_);
    for (size_t row = 0; row < tokens_.size(); ++row)
      tokens_[row] = choose_token(decoder_.logits(static_cast<int64_t>(row)), {}, {.greedy = true}, 0);
    read_ = decoder_.bytes().read;
    decoder_.truncate(held_);
  }
  [[nodiscard]] int64_t read_bytes() const { return read_; }
  [[nodiscard]] int64_t state_bytes() const { return decoder_.bytes().state; }

 private:
  int64_t held_, read_ = 0;
  std::vector<int32_t> tokens_;
  Decoder decoder_;
};

/// What the one cache gains: the same kernels over two, and LibTorch's operators over one that is key and value.
Json compared(const LanguageModel& model, FullContext& ours, const BenchFlags& flags) {
  DecoderOptions options{.batch = flags.batch, .format = parse_number_format(flags.dtype), .two_caches = true};
  FullContext two(model, flags.batch, options);
  FullContext aliased(model, flags.batch, {.batch = flags.batch, .plain = true});
  const Turns turns = take_turns({[&] { ours.step(); }, [&] { two.step(); }, [&] { aliased.step(); }}, 2 * flags.seconds);
  const double own = turns.ways[0].median_ms;
  Json out = turns.json();
  out.update({{"ms", own},
              {"two_caches_ms", turns.ways[1].median_ms},
              {"two_caches_ratio", turns.ways[1].median_ms / own},
              {"two_caches_read_bytes", two.read_bytes()},
              {"libtorch_one_cache_float32_ms", turns.ways[2].median_ms},
              {"libtorch_one_cache_float32_ratio", turns.ways[2].median_ms / own}});
  return out;
}

}  // namespace

void describe_decode(Fields& fields, BenchFlags& flags) {
  flags.batch = 1;
  describe(fields, flags);
  fields.add("dtype", flags.dtype, "how weights and caches are stored").choices(number_format_names());
  fields.add("compare", flags.compare, "also the same kernels over two caches, and LibTorch's operators over one");
}

void run_decode(const BenchFlags& flags, const GeneralOptions& general) {
  const int64_t base = peak_resident_bytes();
  const LanguageModel model(flags.model, 0);
  FullContext decoder(model, flags.batch, {.batch = flags.batch, .format = parse_number_format(flags.dtype)});
  const Repeats times = timed([&] { decoder.step(); }, flags.seconds, 8, kLeastTokens);
  Json json = bench_row("decode", flags, times, base);
  json["context"] = flags.model.context;
  json["state_bytes"] = decoder.state_bytes();
  json["tokens_per_s"] = 1e3 * static_cast<double>(flags.batch) / times.median_ms;
  if (decoder.read_bytes() > 0) {
    const double rate = static_cast<double>(decoder.read_bytes()) / times.median_ms / 1e6,
                 ceiling = measured_read_rate(decoder.read_bytes());
    json["read_bytes"] = decoder.read_bytes();
    json["read_gb_per_s"] = rate;
    json["ceiling_gb_per_s"] = ceiling;
    json["fraction"] = rate / ceiling;
  }
  json["error"] = decode_error(flags);
  if (flags.compare) json["compared"] = compared(model, decoder, flags);
  print_bench_row(json, general);
  if (general.json || !json.contains("fraction")) return;
  print(fmt::format(
      "  reads {:.1f} MB a token at {:.0f} GB/s, {:.0f} % of the {:.0f} GB/s at which the threads read as much; p99 {:.3f} ms\n",
      1e-6 * json["read_bytes"].get<double>(), json["read_gb_per_s"].get<double>(), 100 * json["fraction"].get<double>(),
      json["ceiling_gb_per_s"].get<double>(), times.p99_ms));
  if (flags.compare)
    print(fmt::format("  the same kernels over two caches take {:.2f} times as long, LibTorch's operators over one {:.2f} times\n",
                      json["compared"]["two_caches_ratio"].get<double>(),
                      json["compared"]["libtorch_one_cache_float32_ratio"].get<double>()));
}

}  // namespace aot
