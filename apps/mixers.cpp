// SPDX-License-Identifier: Apache-2.0
// aot mixers: what the catalogue holds.
#include <memory>

#include "aot/core/random.h"
#include "aot/io/error.h"
#include "aot/io/json.h"
#include "aot/mixers/mixer.h"
#include "apps/command.h"

namespace aot {
namespace {

constexpr MixerOptions kExample = {.width = 384, .heads = 6, .head_dim = 64, .context = 256};

/// The mixer in its example shape, without numbers.
MixerPtr example(const MixerEntry& entry, bool causal) {
  at::Generator without_storage;
  MixerOptions options = kExample;
  options.causal = causal;
  return make_mixer(entry.name, options, without_storage);
}

/// What the mixer can do when it is built for causal use or for bidirectional use, by name.
std::vector<std::pair<std::string, bool>> flags(const Capabilities& causal, const Capabilities& bidirectional) {
  return {{"causal", causal.causal},
          {"bidirectional", bidirectional.bidirectional},
          {"key_mask", causal.key_mask},
          {"mask", causal.mask},
          {"decode", causal.decode},
          {"truncate", causal.truncate},
          {"any_length", causal.any_length},
          {"operator_matrix", causal.operator_matrix},
          {"permutation", bidirectional.permutation},
          {"rotary", causal.rotary},
          {"tied_output", causal.tied_output},
          {"gate", causal.gate}};
}

Json described(const MixerEntry& entry) {
  const MixerPtr mixer = example(entry, true);
  const Capabilities& can = mixer->capabilities();
  Json out{{"name", entry.name}, {"source", entry.source}, {"equation", can.equation}, {"cost", can.cost}};
  for (const auto& [name, value] : flags(can, example(entry, false)->capabilities())) out["capabilities"][name] = value;
  out["example"] = {{"width", kExample.width}, {"heads", kExample.heads}, {"head_dim", kExample.head_dim}, {"context", kExample.context}};
  for (const Parameter& parameter : mixer->parameters()) out["example"]["shapes"][parameter.name] = parameter.value.sizes().vec();
  out["example"]["parameters"] = parameter_count(mixer->parameters());
  out["example"]["forward_flop"] = mixer->forward_flop(1, kExample.context, true);
  if (can.decode) out["example"]["state_bytes"] = mixer->state_bytes(1, kExample.context, 4);
  return out;
}

void list(bool json) {
  Json rows = Json::array();
  std::string text;
  for (const MixerEntry& entry : mixer_catalogue()) {
    const Json row = described(entry);
    text += str(entry.name, "\t", entry.source, "\t", row["cost"].get<std::string>(), "\n");
    rows.push_back(row);
  }
  print(json ? dump_json(rows) + "\n" : text);
}

const MixerEntry& find(const std::string& name) {
  std::string known;
  for (const MixerEntry& entry : mixer_catalogue()) {
    if (entry.name == name) return entry;
    known += (known.empty() ? "" : ", ") + entry.name;
  }
  throw UsageError("unknown mixer '" + escaped(name) + "'", "known: " + known);
}

void show(const std::string& name, bool json) {
  const Json row = described(find(name));
  if (json) return print(dump_json(row) + "\n");
  std::string text = str(row["name"].get<std::string>(), "   [", row["source"].get<std::string>(), "]\n\nequation  ",
                         row["equation"].get<std::string>(), "\ncost      ", row["cost"].get<std::string>(), "\n\ncan");
  std::string cannot = "\ncannot";
  for (const auto& [capability, value] : row["capabilities"].items()) (value.get<bool>() ? text : cannot) += " " + capability;
  if (cannot != "\ncannot") text += cannot;
  text += str("\n\nwith D = ", kExample.width, ", K = ", kExample.heads, ", P = ", kExample.head_dim, ", T = ", kExample.context,
              ", untied output, no bias, causal:\n");
  for (const auto& [parameter, shape] : row["example"]["shapes"].items()) text += "  " + parameter + " " + shape.dump() + "\n";
  text += str("  ", row["example"]["parameters"].get<int64_t>(), " parameters, ",
              static_cast<double>(row["example"]["forward_flop"].get<int64_t>()) / 1e6, " MFLOP for one sequence forward");
  if (row["example"].contains("state_bytes"))
    text += str(", ", row["example"]["state_bytes"].get<int64_t>(), " bytes of decode state in float32");
  print(text + "\n");
}

}  // namespace

void add_mixers(Subcommand& command) {
  set_examples(command.app, "  aot mixers list\n  aot mixers show mssa");
  command.app.require_subcommand(1);
  const GeneralOptions& general = command.general;
  CLI::App* all = command.app.add_subcommand("list", "every mixer with its source and cost");
  all->fallthrough();
  all->callback([&general] { list(general.json); });
  CLI::App* one = command.app.add_subcommand("show", "equation, cost, capabilities and parameters of one mixer");
  one->fallthrough();
  const auto name = std::make_shared<std::string>();
  one->add_option("NAME", *name, "a name from `aot mixers list`")->required();
  one->callback([&general, name] { show(*name, general.json); });
}

}  // namespace aot
