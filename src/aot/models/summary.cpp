// SPDX-License-Identifier: Apache-2.0
#include "aot/models/summary.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "aot/io/error.h"
#include "aot/ops/cross_entropy.h"

namespace aot {
namespace {

std::string group_of(const std::string& name) {
  const auto has = [&name](const char* part) { return name.find(part) != std::string::npos; };
  if (name == "embedding" || name.rfind("read_in", 0) == 0 || name.rfind("patch", 0) == 0 || name == "class_token") return "embedding";
  if (name.rfind("head", 0) == 0) return "head";
  if (name == "position") return "positions";
  if (has("norm")) return "norms";
  if (has("mixer.")) return "mixers";
  if (has("ista.")) return "dictionaries";
  return has("mlp.") ? "mlps" : "steps";
}

/// A limit that the kernel gives as a number or "max" in a file of one line; the largest int64 when there is none.
int64_t limit_in_file(const char* path) {
  long long limit = INT64_MAX;
  if (FILE* file = std::fopen(path, "r")) {
    if (std::fscanf(file, "%lld", &limit) != 1) limit = INT64_MAX;
    std::fclose(file);
  }
  return limit;
}

/// What summaries of both kinds of models are made of.
struct Shape {
  Parameters parameters;
  const std::vector<Block>* blocks = nullptr;
  int64_t width = 0;
  int64_t context = 0;  // tokens of one sequence or picture
  bool causal = true;
  double outside_flop = 0;  // forward, of the matrices outside blocks, per sequence
  int64_t batch = 0, tokens = 0;
  double buffers = 0;  // bytes of the head beside what is kept per token
  int64_t state_dtype_bytes = 4;
};

ModelSummary summarize(const Shape& shape) {
  ModelSummary out;
  int64_t kept_per_token = shape.width;  // the embedding's output
  int64_t block_matrix_flop = 0;         // of the blocks' matrices outside mixers, forward, per token
  for (const Parameter& parameter : shape.parameters) {
    const std::string group = group_of(parameter.name);
    const int64_t count = parameter.value.numel();
    auto found = std::find_if(out.groups.begin(), out.groups.end(), [&](const ParameterGroup& g) { return g.name == group; });
    if (found == out.groups.end()) found = out.groups.insert(out.groups.end(), {group, 0});
    found->parameters += count;
    out.parameters += count;
    if (group != "positions") out.parameters_without_positions += count;
    const bool matrix = parameter.value.dim() >= 2, twice = group == "dictionaries";  // D and its transpose
    if ((group == "mixers" || group == "mlps" || twice) && matrix)
      kept_per_token += parameter.value.size(-1) + count / parameter.value.size(-1);
    if ((group == "mlps" || twice) && matrix) block_matrix_flop += (twice ? 4 : 2) * count;
  }

  double forward_flop = static_cast<double>(shape.context) * static_cast<double>(block_matrix_flop) + shape.outside_flop;
  double state_bytes = 0;
  for (const Block& block : *shape.blocks) {
    forward_flop += static_cast<double>(block.mixer().forward_flop(1, shape.context, shape.causal));
    if (shape.causal && block.mixer().capabilities().decode)
      state_bytes += static_cast<double>(block.mixer().state_bytes(shape.batch, shape.tokens, shape.state_dtype_bytes));
  }
  out.flop_per_token = 3 * forward_flop / static_cast<double>(shape.context);

  constexpr int64_t kFloat = 4;
  const auto kept = [&](int64_t per_token) {
    return static_cast<double>(kFloat * shape.batch * shape.tokens) * static_cast<double>(per_token) + shape.buffers;
  };
  const double activations = kept(kept_per_token);
  // Every layer's input, and one layer at a time in full.
  const auto layers = static_cast<int64_t>(shape.blocks->size());
  const double recomputed = kept(shape.width * (layers + 1) + (kept_per_token - shape.width) / layers);
  const double weights = static_cast<double>(kFloat * out.parameters);
  if (4 * weights + activations >= 0x1p63 || weights + state_bytes >= 0x1p63)
    throw UsageError("the memory of this model is beyond 2^63 bytes", "lower batch, tokens, width or layers");
  out.memory = {.weights = kFloat * out.parameters,
                .gradients = kFloat * out.parameters,
                .optimizer = 2 * kFloat * out.parameters,
                .activations = static_cast<int64_t>(activations),
                .recomputed = static_cast<int64_t>(recomputed),
                .decode_state = static_cast<int64_t>(state_bytes)};
  return out;
}

}  // namespace

ModelSummary summarize(const LanguageModel& model, int64_t batch, int64_t tokens, int64_t state_dtype_bytes) {
  const LanguageOptions& o = model.options();
  return summarize(Shape{.parameters = model.parameters(),
                         .blocks = &model.blocks(),
                         .width = o.width,
                         .context = o.context,
                         .outside_flop = static_cast<double>(o.context) * static_cast<double>(2 * o.vocab_size * o.width),
                         .batch = batch,
                         .tokens = tokens,
                         .buffers = static_cast<double>(cross_entropy_buffer_bytes(batch * tokens, o.vocab_size)),
                         .state_dtype_bytes = state_dtype_bytes});
}

ModelSummary summarize(const VisionModel& model, int64_t batch) {
  const VisionOptions& o = model.options();
  const auto width = static_cast<double>(o.width), classes = static_cast<double>(o.classes);
  const double patch_numbers = static_cast<double>(o.patches()) * static_cast<double>(o.channels * o.patch * o.patch);
  return summarize(Shape{.parameters = model.parameters(),
                         .blocks = &model.blocks(),
                         .width = o.width,
                         .context = o.tokens(),
                         .causal = false,
                         .outside_flop = 2 * width * (patch_numbers + classes),
                         .batch = batch,
                         .tokens = o.tokens(),
                         .buffers = 4 * static_cast<double>(batch) * (patch_numbers + 2 * classes)});
}

ModelSummary summarize(const RegressionModel& model, int64_t batch, int64_t points) {
  const RegressionOptions& o = model.options();
  const auto width = static_cast<double>(o.width), numbers = static_cast<double>(points) * static_cast<double>(2 * o.dims);
  ModelSummary out = summarize(Shape{.parameters = model.parameters(),
                                     .blocks = &model.blocks(),
                                     .width = o.width,
                                     .context = 2 * points,
                                     .outside_flop = 2 * width * (numbers + static_cast<double>(points)),
                                     .batch = batch,
                                     .tokens = 2 * points,
                                     .buffers = 4 * static_cast<double>(batch) * numbers});
  out.memory.decode_state = 0;
  return out;
}

int64_t memory_limit_bytes() {
  const int64_t machine = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  const int64_t group = std::min(limit_in_file("/sys/fs/cgroup/memory.max"), limit_in_file("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
  return std::min(machine, group);
}

}  // namespace aot
