// SPDX-License-Identifier: Apache-2.0
#include "aot/models/vision_transfer.h"

#include <algorithm>
#include <map>

#include <ATen/ops/_upsample_bicubic2d_aa.h>
#include <ATen/ops/cat.h>
#include <c10/core/GradMode.h>

#include "aot/core/text.h"
#include "aot/io/error.h"
#include "aot/models/checkpoint.h"

namespace aot {
namespace {

/// Settings that may be others than the checkpoint's.
constexpr const char* kFree[] = {"image_size", "classes", "dropout", "step_init"};

void check_settings(VisionOptions from, VisionOptions to) {
  Fields old_fields, new_fields;
  describe(old_fields, from);
  describe(new_fields, to);
  const std::vector<TomlEntry> before = old_fields.entries(), now = new_fields.entries();
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i].value == now[i].value || std::find(std::begin(kFree), std::end(kFree), before[i].key) != std::end(kFree)) continue;
    throw UsageError(str("the checkpoint has ", before[i].key, " = ", toml_text(before[i].value), ", this model ", toml_text(now[i].value)),
                     "fine-tuning may change the classes and the size of the pictures");
  }
}

/// Positions (T, D) of a model of `from` for one of `to`: a class token's stays.
at::Tensor resized_positions(const at::Tensor& position, const VisionOptions& from, const VisionOptions& to) {
  const int64_t leading = from.tokens() - from.patches(), side = from.image_size / from.patch, new_side = to.image_size / to.patch;
  const at::Tensor grid = position.narrow(0, leading, side * side).view({side, side, from.width}).permute({2, 0, 1});  // (D, side, side)
  const at::Tensor patches = resized_grid(grid, new_side, new_side).permute({1, 2, 0}).reshape({to.patches(), to.width});
  return leading == 0 ? patches : at::cat({position.narrow(0, 0, leading), patches}, 0);
}

}  // namespace

at::Tensor resized_grid(const at::Tensor& grid, int64_t height, int64_t width) {
  const int64_t rows = grid.size(-2), columns = grid.size(-1);
  if (rows == height && columns == width) return grid;
  std::vector<int64_t> shape = grid.sizes().vec();
  shape[shape.size() - 2] = height;
  shape[shape.size() - 1] = width;
  return at::_upsample_bicubic2d_aa(grid.reshape({1, -1, rows, columns}), {height, width}, /*align_corners=*/false).view(shape);
}

TransferredWeights load_for_finetuning(const std::string& checkpoint, const VisionModel& model) {
  const VisionOptions to = model.options(), from = read_vision_options(checkpoint);
  check_settings(from, to);
  const auto source = load_vision_model(checkpoint);
  std::map<std::string, at::Tensor> weights;
  for (const Parameter& parameter : source->parameters()) weights[parameter.name] = parameter.value.detach();

  const c10::NoGradGuard no_grad;
  TransferredWeights out;
  for (const Parameter& parameter : model.parameters()) {
    at::Tensor value = weights.at(parameter.name);
    if (parameter.name.rfind("head", 0) == 0 && from.classes != to.classes) {
      out.fresh.push_back(parameter.name);
      continue;
    }
    const bool resized = parameter.name == "position" && from.image_size != to.image_size;
    if (resized) value = resized_positions(value, from, to);
    (resized ? out.interpolated : out.taken).push_back(parameter.name);
    at::Tensor(parameter.value).copy_(value);
  }
  return out;
}

std::string TransferredWeights::text() const {
  std::string line = str("took ", taken.size(), " tensors");
  if (!interpolated.empty()) line += ", interpolated " + joined(interpolated);
  if (!fresh.empty()) line += ", drew " + joined(fresh) + " anew";
  return line;
}

}  // namespace aot
