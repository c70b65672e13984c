// SPDX-License-Identifier: Apache-2.0
#include "aot/interop/named_tensors.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <ranges>
#include <set>
#include <utility>

#include <ATen/ops/as_strided.h>
#include <ATen/ops/empty.h>

#include "aot/core/tensor_file.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/json_reader.h"
#include "aot/io/manifest.h"
#include "aot/io/safetensors.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kIndexBytes = 16u << 20;
constexpr size_t kMostShards = 1000;

std::string place_of(const std::string& tensor) {
  return "tensor '" + escaped(tensor, 120) + "'";
}

bool is_floating_dtype(const std::string& dtype) {
  const auto type = scalar_type_of(dtype);
  return type && at::isFloatingType(*type);
}

at::ScalarType dtype_of(const std::string& dtype, const std::string& path, const std::string& name) {
  if (!is_floating_dtype(dtype)) throw FileError(path, place_of(name), "dtype " + dtype + ", need floating-point numbers");
  return *scalar_type_of(dtype);
}

class Safetensors : public NamedTensors {
 public:
  Safetensors(std::string path, const std::vector<std::string>& files) : path_(std::move(path)) {
    for (const std::string& file : files) shards_.emplace_back(file);
    for (const SafetensorsFile& shard : shards_)
      for (const TensorEntry& entry : shard.tensors()) {
        if (!found_.emplace(entry.name, std::pair(&shard, &entry)).second)
          throw FileError(shard.path(), place_of(entry.name), "stands in two shards");
        names_.push_back(entry.name);
      }
    std::set<std::string> scales;  // of int8: they belong to their matrices
    for (const auto& [shard, entry] : std::views::values(found_))
      if (const TensorEntry* of_rows = scales_of(*shard, *entry)) scales.insert(of_rows->name);
    std::erase_if(names_, [&scales](const std::string& name) { return scales.count(name) != 0; });
  }

  [[nodiscard]] const std::string& path() const override { return path_; }
  [[nodiscard]] const std::vector<std::string>& names() const override { return names_; }
  [[nodiscard]] const std::vector<int64_t>* shape(const std::string& name) const override {
    const auto found = found_.find(name);
    return found == found_.end() ? nullptr : &found->second.second->shape;
  }
  [[nodiscard]] bool is_floating(const std::string& name) const override {
    const auto found = found_.find(name);
    return found != found_.end() && (is_floating_dtype(found->second.second->dtype) || is_int8(name));
  }
  [[nodiscard]] at::Tensor read_any(const std::string& name) const override {
    const auto found = found_.find(name);
    if (found == found_.end()) throw FileError(path_, place_of(name), "missing tensor");
    const auto& [shard, entry] = found->second;
    if (const TensorEntry* scales = scales_of(*shard, *entry)) return read_int8(*shard, *entry, *scales);
    const at::Tensor numbers = at::empty(entry->shape, dtype_of(entry->dtype, shard->path(), name));
    shard->read(*entry, numbers.mutable_data_ptr());
    return numbers.to(at::kFloat);
  }

 private:
  [[nodiscard]] bool is_int8(const std::string& name) const {
    const auto found = found_.find(name);
    return found != found_.end() && scales_of(*found->second.first, *found->second.second) != nullptr;
  }

  std::string path_;
  std::vector<SafetensorsFile> shards_;
  std::vector<std::string> names_;
  std::map<std::string, std::pair<const SafetensorsFile*, const TensorEntry*>> found_;
};

/// The shards that an index names, each once, in its order.
std::vector<std::string> shards_of(const fs::path& folder, const fs::path& index) {
  const std::string text = read_file(index.string(), kIndexBytes), path = index.string();
  std::vector<std::string> files;
  JsonReader json(text, path);
  json.enter_object();
  for (std::string key; json.next_member(key);) {
    if (key != "weight_map") {
      json.skip();
      continue;
    }
    json.enter_object();
    for (std::string tensor; json.next_member(tensor);) {
      const std::string name = json.text();
      if (!is_plain_file_name(name)) throw FileError(path, place_of(tensor), "not a plain file name (found '" + escaped(name, 80) + "')");
      const std::string file = (folder / name).string();
      if (std::find(files.rbegin(), files.rend(), file) != files.rend()) continue;
      if (files.size() == kMostShards) throw FileError(path, "", str("more than ", kMostShards, " shards"));
      files.push_back(file);
    }
  }
  json.finish();
  if (files.empty()) throw FileError(path, "key 'weight_map'", "names no file");
  return files;
}

class StateDict : public NamedTensors {
 public:
  StateDict(std::shared_ptr<const PtFile> file, const PickleValue& dict, const std::vector<std::string>& prefixes)
      : file_(std::move(file)) {
    for (size_t i = 0; i < dict.pairs(); ++i) {
      const auto key = dict.key(i).text();
      const PickleTensor* tensor = dict.value(i).tensor();
      if (!key || tensor == nullptr) continue;
      const std::string name(bare(*key, prefixes));
      if (!tensors_.emplace(name, tensor).second) throw FileError(path(), place_of(name), "duplicate tensor");
      names_.push_back(name);
    }
    if (names_.empty()) throw FileError(path(), "", "holds no tensors where a state_dict should be");
  }

  [[nodiscard]] const std::string& path() const override { return file_->path(); }
  [[nodiscard]] const std::vector<std::string>& names() const override { return names_; }
  [[nodiscard]] const std::vector<int64_t>* shape(const std::string& name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second->shape;
  }
  [[nodiscard]] bool is_floating(const std::string& name) const override {
    const auto found = tensors_.find(name);
    return found != tensors_.end() && is_floating_dtype(file_->dtype(*found->second));
  }
  [[nodiscard]] at::Tensor read_any(const std::string& name) const override {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) throw FileError(path(), place_of(name), "missing tensor");
    const PickleTensor& tensor = *found->second;
    const at::ScalarType type = dtype_of(file_->dtype(tensor), path(), name);
    if (tensor.count() == 0) return at::empty(tensor.shape, at::kFloat);
    // What lies between its first and its last number, seen by its strides.
    int64_t span = 1;
    for (size_t i = 0; i < tensor.shape.size(); ++i) span += (tensor.shape[i] - 1) * tensor.strides[i];
    const at::Tensor numbers = at::empty({span}, type);
    file_->read(tensor, 0, numbers.mutable_data_ptr(), numbers.nbytes());
    return at::as_strided(numbers, tensor.shape, tensor.strides).to(at::kFloat).contiguous();
  }
  [[nodiscard]] bool stored_once(const std::string& a, const std::string& b) const override {
    const auto one = tensors_.find(a), other = tensors_.find(b);
    if (one == tensors_.end() || other == tensors_.end()) return false;
    const PickleTensor &x = *one->second, &y = *other->second;
    return x.storage == y.storage && x.offset == y.offset && x.shape == y.shape && x.strides == y.strides;
  }

 private:
  static std::string_view bare(std::string_view name, const std::vector<std::string>& prefixes) {
    for (bool again = true; again;) {
      again = false;
      for (const std::string& prefix : prefixes)
        if (name.substr(0, prefix.size()) == prefix) {
          name.remove_prefix(prefix.size());
          again = true;
        }
    }
    return name;
  }

  std::shared_ptr<const PtFile> file_;
  std::vector<std::string> names_;
  std::map<std::string, const PickleTensor*> tensors_;
};

}  // namespace

at::Tensor NamedTensors::read(const std::string& name) const {
  at::Tensor numbers = read_any(name);
  if (const int64_t element = first_non_finite(numbers); element >= 0)
    throw FileError(path(), place_of(name), str("non-finite value at element ", element));
  return numbers;
}

const std::vector<int64_t>& NamedTensors::shape(const std::string& name, size_t rank) const {
  const std::vector<int64_t>* found = shape(name);
  if (found == nullptr) throw FileError(path(), place_of(name), "missing tensor");
  if (found->size() != rank || std::any_of(found->begin(), found->end(), [](int64_t size) { return size < 1; }))
    throw FileError(path(), place_of(name), str("needs ", rank, " dimensions of at least 1"));
  return *found;
}

std::unique_ptr<NamedTensors> open_safetensors(const std::string& path) {
  const fs::path folder(path);
  if (!fs::is_directory(folder)) return std::make_unique<Safetensors>(path, std::vector<std::string>{path});
  const fs::path index = folder / "model.safetensors.index.json";
  const bool sharded = !fs::exists(folder / "model.safetensors") && fs::exists(index);
  return std::make_unique<Safetensors>(
      path, sharded ? shards_of(folder, index) : std::vector<std::string>{(folder / "model.safetensors").string()});
}

std::unique_ptr<NamedTensors> open_state_dict(std::shared_ptr<const PtFile> file, const PickleValue& dict,
                                              std::vector<std::string> prefixes) {
  return std::make_unique<StateDict>(std::move(file), dict, prefixes);
}

std::unique_ptr<NamedTensors> open_tensors(const std::string& path, std::vector<std::string> prefixes) {
  const std::string extension = fs::path(path).extension().string();
  if (extension != ".pt" && extension != ".pth") return open_safetensors(path);
  auto file = std::make_shared<const PtFile>(path);
  const PickleValue root = file->root();
  for (const char* key : {"state_dict", "model"})
    if (const auto inside = root.member(key); inside && inside->is_dict()) return open_state_dict(file, *inside, std::move(prefixes));
  return open_state_dict(file, root, std::move(prefixes));
}

}  // namespace aot
