// SPDX-License-Identifier: Apache-2.0
#include "apps/inspect_diff.h"

#include <filesystem>

#include <fmt/format.h>

#include "aot/interop/compare.h"
#include "aot/io/error.h"
#include "aot/io/json.h"
#include "aot/models/checkpoint.h"
#include "apps/command.h"

namespace aot {
namespace {

std::unique_ptr<NamedTensors> open(const std::string& path) {
  const std::filesystem::path folder(path);
  const bool is_ours = std::filesystem::is_directory(folder) && !std::filesystem::exists(folder / "model.safetensors.index.json");
  return open_tensors(is_ours && !std::filesystem::exists(folder / "model.safetensors") ? find_checkpoint(path) : path,
                      {"_orig_mod.", "module."});
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out;
  for (const int64_t size : shape) out += (out.empty() ? "" : " x ") + std::to_string(size);
  return out.empty() ? "scalar" : out;
}

Json row_json(const TensorDifference& row) {
  return {{"tensor", row.name},
          {"shape_a", row.in_a ? Json(row.shape_a) : Json()},
          {"shape_b", row.in_b ? Json(row.shape_b) : Json()},
          {"max_difference", row.numbers ? Json(row.largest) : Json()},
          {"mean_difference", row.numbers ? Json(row.mean) : Json()}};
}

std::string row_text(const TensorDifference& row) {
  const std::string name = escaped(row.name);
  if (!row.in_a) return fmt::format("{:<40} only in the second, {}\n", name, shape_text(row.shape_b));
  if (!row.in_b) return fmt::format("{:<40} only in the first, {}\n", name, shape_text(row.shape_a));
  if (!row.same_shape()) return fmt::format("{:<40} {} and {}\n", name, shape_text(row.shape_a), shape_text(row.shape_b));
  if (!row.numbers) return fmt::format("{:<40} no floating-point numbers: the same shape, {}\n", name, shape_text(row.shape_a));
  return fmt::format("{:<40} largest difference {:.3g}, mean {:.3g}\n", name, row.largest, row.mean);
}

}  // namespace

void inspect_diff(const std::string& a, const std::string& b, bool json) {
  if (a.empty() || b.empty()) throw UsageError("--diff needs two checkpoints, run folders or files", "e.g. aot inspect --diff run-a run-b");
  const auto rows = compare_tensors(*open(a), *open(b));
  Json different = Json::array(), by_shape = Json::array();
  std::string text;
  for (const TensorDifference& row : rows) {
    const bool shape_alone = row.same_shape() && !row.numbers;
    if (row.differs()) different.push_back(row_json(row));
    if (shape_alone) by_shape.push_back(row.name);
    if (row.differs() || shape_alone) text += row_text(row);
  }
  const std::string counts = fmt::format("{} of {} tensors differ", different.size(), rows.size());
  if (json)
    print(dump_json(Json{
              {"tensors_in_all", rows.size()}, {"different", different.size()}, {"tensors", different}, {"compared_by_shape", by_shape}}) +
          "\n");
  else
    print(text + counts + "\n");
  if (!different.empty()) throw Error(ExitCode::failed, counts);
}

}  // namespace aot
