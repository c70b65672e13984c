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

MixerPtr make_mixer(std::string_view name, const MixerOptions& options, at::Generator& generator) {
  std::string known;
  for (const MixerEntry& entry : mixer_catalogue()) {
    if (entry.name == name) return entry.make(options, generator);
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
}

}  // namespace aot
