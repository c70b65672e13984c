// SPDX-License-Identifier: Apache-2.0
#include "aot/io/error.h"
#include "aot/mixers/mixer.h"

namespace aot {

#define AOT_MIXER(name, source) MixerPtr make_##name(const MixerOptions&, at::Generator&);
#include "aot/mixers/catalogue.def"
#undef AOT_MIXER

const std::vector<MixerEntry>& mixer_catalogue() {
  static const std::vector<MixerEntry> catalogue = {
#define AOT_MIXER(name, source) {#name, source, make_##name},
#include "aot/mixers/catalogue.def"
#undef AOT_MIXER
  };
  return catalogue;
}

namespace {

void check_options(const MixerOptions& options) {
  const auto at_least_one = [](const char* name, int64_t value) {
    if (value < 1) throw UsageError(str("mixer: ", name, " must be at least 1 (found ", value, ")"));
  };
  at_least_one("width", options.width);
  at_least_one("heads", options.heads);
  at_least_one("head_dim", options.head_dim);
  at_least_one("layers", options.layers);
  if (options.context < 0) throw UsageError(str("mixer: context must not be negative (found ", options.context, ")"));
  if (!(options.dropout >= 0 && options.dropout < 1))
    throw UsageError(str("mixer: dropout must be at least 0 and below 1 (found ", options.dropout, ")"));
}

}  // namespace

MixerPtr make_mixer(std::string_view name, const MixerOptions& options, at::Generator& generator) {
  std::string known;
  for (const MixerEntry& entry : mixer_catalogue()) {
    if (entry.name == name) {
      check_options(options);
      return entry.make(options, generator);
    }
    known += (known.empty() ? "" : ", ") + entry.name;
  }
  throw UsageError(str("unknown mixer '", name, "'"), "known: " + known);
}

void refuse(bool unsupported, std::string_view mixer, std::string_view what) {
  if (unsupported)
    throw UsageError(str("mixer ", mixer, " has no ", what), "`aot mixers show " + std::string(mixer) + "` tells what it can do");
}

void check_input(const Capabilities& can, std::string_view mixer, const MixerInput& input) {
  TORCH_CHECK_VALUE(input.x.dim() == 3, mixer, ": x must be (B, T, D), got ", input.x.sizes());
  TORCH_CHECK_VALUE(input.causal ? can.causal : can.bidirectional, mixer, " is not ", input.causal ? "causal" : "bidirectional");
  TORCH_CHECK_VALUE(can.key_mask || !input.key_mask.defined(), mixer, " takes no key mask");
  TORCH_CHECK_VALUE(can.mask || !input.mask.defined(), mixer, " takes no mask of who may read whom");
}

}  // namespace aot
