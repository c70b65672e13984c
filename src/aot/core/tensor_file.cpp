// SPDX-License-Identifier: Apache-2.0
#include "aot/core/tensor_file.h"

#include <filesystem>
#include <set>

#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>

#include "aot/io/error.h"

namespace aot {
namespace {

const char* format_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "F32";
    case at::kDouble:
      return "F64";
    case at::kBFloat16:
      return "BF16";
    case at::kLong:
      return "I64";
    default:
      return "";
  }
}

std::string place_of(const std::string& tensor) {
  return "tensor '" + tensor + "'";
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out;
  for (const int64_t size : shape) out += (out.empty() ? "" : ", ") + std::to_string(size);
  return "[" + out + "]";
}

}  // namespace

void save_tensors(AtomicFolder& folder, const std::string& file, const Parameters& tensors, std::map<std::string, std::string> metadata) {
  std::vector<at::Tensor> alive;  // keeps the memory that `data` points into
  std::vector<TensorData> data;
  for (const Parameter& tensor : tensors) {
    const at::Tensor& value = alive.emplace_back(tensor.value.detach().cpu().contiguous());
    TORCH_CHECK(*format_name(value.scalar_type()) != '\0', "save_tensors: ", tensor.name, " has dtype ", value.scalar_type());
    data.push_back({tensor.name, format_name(value.scalar_type()), value.sizes().vec(), value.const_data_ptr(), value.nbytes()});
  }
  const std::string path = folder.path_of(file);
  const std::string digest = write_safetensors(path, data, std::move(metadata));
  folder.add(file, std::filesystem::file_size(path), digest);
}

void check_tensors(const SafetensorsFile& file, const Parameters& expected) {
  std::set<std::string> names;
  for (const Parameter& tensor : expected) {
    names.insert(tensor.name);
    const TensorEntry* entry = file.find(tensor.name);
    if (entry == nullptr) throw FileError(file.path(), place_of(tensor.name), "missing tensor");
    const std::string found = entry->dtype + " " + shape_text(entry->shape);
    const std::string needed = std::string(format_name(tensor.value.scalar_type())) + " " + shape_text(tensor.value.sizes().vec());
    if (found != needed) throw FileError(file.path(), place_of(tensor.name), str("model needs ", needed, " (found ", found, ")"));
  }
  for (const TensorEntry& entry : file.tensors())
    if (names.count(entry.name) == 0) throw FileError(file.path(), place_of(entry.name), "unexpected tensor");
}

void load_tensors(const SafetensorsFile& file, const Parameters& into) {
  check_tensors(file, into);
  std::vector<at::Tensor> read;
  for (const Parameter& tensor : into) {
    at::Tensor& value = read.emplace_back(at::empty(tensor.value.sizes(), tensor.value.scalar_type()));
    file.read(*file.find(tensor.name), value.mutable_data_ptr());
    if (const int64_t element = first_non_finite(value); element >= 0)
      throw FileError(file.path(), place_of(tensor.name), str("non-finite value at element ", element));
  }
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < into.size(); ++i) into[i].value.copy_(read[i]);
}

int64_t first_non_finite(const at::Tensor& tensor) {
  if (!at::isFloatingType(tensor.scalar_type()) || tensor.numel() == 0) return -1;
  const c10::NoGradGuard no_grad;
  const at::Tensor finite = at::isfinite(tensor).flatten();
  if (finite.all().item<bool>()) return -1;
  return finite.logical_not().nonzero()[0].item<int64_t>();
}

}  // namespace aot
