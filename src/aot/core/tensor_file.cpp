// SPDX-License-Identifier: Apache-2.0
#include "aot/core/tensor_file.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include "aot/io/error.h"

namespace aot {
namespace {

constexpr std::pair<at::ScalarType, const char*> kFormats[] = {
    {at::kFloat, "F32"}, {at::kDouble, "F64"}, {at::kBFloat16, "BF16"}, {at::kHalf, "F16"}, {at::kLong, "I64"}};

const char* format_name(at::ScalarType dtype) {
  for (const auto& [type, name] : kFormats)
    if (type == dtype) return name;
  return "";
}

std::string place_of(const std::string& tensor) {
  return "tensor '" + tensor + "'";
}

constexpr int64_t kLeastInt8 = 32;  // rows and columns of a matrix that is worth its scales
constexpr const char* kScale = ".scale";

bool is_smaller(const SafetensorsFile& file, const TensorEntry& entry) {
  return entry.dtype == "BF16" || entry.dtype == "F16" || scales_of(file, entry) != nullptr;
}

void check_finite(const SafetensorsFile& file, const std::string& name, const at::Tensor& value) {
  if (const int64_t element = first_non_finite(value); element >= 0)
    throw FileError(file.path(), place_of(name), str("non-finite value at element ", element));
}

/// The tensor of that name, in the dtype of `like`; read into `like` itself when `in_place` and the dtypes agree.
at::Tensor read_tensor(const SafetensorsFile& file, const std::string& name, const at::Tensor& like, bool in_place) {
  const TensorEntry& entry = *file.find(name);
  if (const TensorEntry* scales = scales_of(file, entry)) return read_int8(file, entry, *scales).to(like.scalar_type());
  const at::ScalarType stored = *scalar_type_of(entry.dtype);
  at::Tensor value = in_place && stored == like.scalar_type() ? like.detach() : at::empty(like.sizes(), stored);
  file.read(entry, value.mutable_data_ptr());
  check_finite(file, name, value);
  return value.to(like.scalar_type());
}

/// A 127th of the largest number of each row, 1 where that is 0: for rows of zeros, and of numbers so small that it vanishes.
at::Tensor int8_steps(const at::Tensor& matrix) {
  const at::Tensor steps = matrix.abs().amax(1).div_(127);
  return steps.masked_fill_(steps == 0, 1);
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

void check_tensors(const SafetensorsFile& file, const Parameters& expected, Stored stored) {
  std::set<std::string> names;
  for (const Parameter& tensor : expected) {
    names.insert(tensor.name);
    const TensorEntry* entry = file.find(tensor.name);
    if (entry == nullptr) throw FileError(file.path(), place_of(tensor.name), "missing tensor");
    const bool widened = stored == Stored::or_smaller && tensor.value.scalar_type() == at::kFloat && is_smaller(file, *entry);
    if (const TensorEntry* scales = widened ? scales_of(file, *entry) : nullptr) names.insert(scales->name);
    const std::string found = entry->dtype + " " + shape_text(entry->shape);
    const std::string dtype = widened ? entry->dtype : format_name(tensor.value.scalar_type());
    const std::string needed = dtype + " " + shape_text(tensor.value.sizes().vec());
    if (found != needed) throw FileError(file.path(), place_of(tensor.name), str("model needs ", needed, " (found ", found, ")"));
  }
  for (const TensorEntry& entry : file.tensors())
    if (names.count(entry.name) == 0) throw FileError(file.path(), place_of(entry.name), "unexpected tensor");
}

void load_tensors(const SafetensorsFile& file, const Parameters& into, Stored stored) {
  check_tensors(file, into, stored);
  std::vector<at::Tensor> read;
  for (const Parameter& tensor : into) read.push_back(read_tensor(file, tensor.name, tensor.value, /*in_place=*/false));
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < into.size(); ++i) into[i].value.copy_(read[i]);
}

void fill_tensors(const SafetensorsFile& file, const Parameters& into, Stored stored) {
  check_tensors(file, into, stored);
  const c10::NoGradGuard no_grad;
  for (const Parameter& tensor : into) {
    const at::Tensor read = read_tensor(file, tensor.name, tensor.value, /*in_place=*/true);
    if (read.const_data_ptr() != tensor.value.const_data_ptr()) tensor.value.copy_(read);
  }
}

const TensorEntry* scales_of(const SafetensorsFile& file, const TensorEntry& entry) {
  if (entry.dtype != "I8" || entry.shape.size() != 2) return nullptr;
  const TensorEntry* scales = file.find(entry.name + kScale);
  return scales != nullptr && scales->dtype == "F32" && scales->shape == std::vector<int64_t>{entry.shape[0]} ? scales : nullptr;
}

at::Tensor read_int8(const SafetensorsFile& file, const TensorEntry& entry, const TensorEntry& scales) {
  const at::Tensor steps = at::empty(entry.shape, at::kChar), step = at::empty(scales.shape, at::kFloat);
  file.read(entry, steps.mutable_data_ptr());
  file.read(scales, step.mutable_data_ptr());
  check_finite(file, scales.name, step);
  return steps.to(at::kFloat).mul_(step.unsqueeze(1));
}

std::optional<at::ScalarType> scalar_type_of(const std::string& format) {
  for (const auto& [type, name] : kFormats)
    if (format == name) return type;
  return std::nullopt;
}

void save_tensors(AtomicFolder& folder, const std::string& file, const std::vector<LazyTensor>& tensors, at::ScalarType dtype) {
  std::vector<TensorStream> streams;
  const auto add = [&streams](const std::string& name, const char* format, std::vector<int64_t> shape, std::function<at::Tensor()> make) {
    streams.push_back({name, format, std::move(shape), [make = std::move(make)](const ByteSink& sink) {
                         const at::Tensor value = make();
                         sink(value.const_data_ptr(), value.nbytes());
                       }});
  };
  for (const LazyTensor& tensor : tensors) {
    const bool packed = dtype == at::kChar && tensor.shape.size() == 2 && std::min(tensor.shape[0], tensor.shape[1]) >= kLeastInt8;
    if (packed) {
      add(tensor.name + kScale, "F32", {tensor.shape[0]}, [&tensor] { return int8_steps(tensor.read()); });
      add(tensor.name, "I8", tensor.shape, [&tensor] {
        const at::Tensor value = tensor.read();
        return value.div(int8_steps(value).unsqueeze(1)).round_().to(at::kChar);
      });
    } else {
      const at::ScalarType type = dtype == at::kChar ? at::kFloat : dtype;
      add(tensor.name, format_name(type), tensor.shape, [&tensor, type] { return tensor.read().to(type); });
    }
  }
  const std::string path = folder.path_of(file);
  const std::string digest = write_safetensors(path, streams);
  folder.add(file, std::filesystem::file_size(path), digest);
}

int64_t first_non_finite(const at::Tensor& tensor) {
  if (!at::isFloatingType(tensor.scalar_type()) || tensor.numel() == 0) return -1;
  constexpr int64_t kPiece = 1 << 18;  // numbers at a time: what is made of them on the way stays small
  const c10::NoGradGuard no_grad;
  const at::Tensor flat = tensor.reshape({-1});
  for (int64_t first = 0; first < flat.numel(); first += kPiece) {
    const at::Tensor finite = at::isfinite(flat.narrow(0, first, std::min(kPiece, flat.numel() - first)));
    if (!finite.all().item<bool>()) return first + finite.logical_not().nonzero()[0].item<int64_t>();
  }
  return -1;
}

}  // namespace aot
