// SPDX-License-Identifier: Apache-2.0
// Python pickles of plain values and of PyTorch's tensors, read into plain data: nothing is imported, called or executed. A name that is
// not on the short list, and an operation that torch.save does not write, is refused.   [CPython, Lib/pickletools.py: the opcodes]
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace aot {

/// The numbers of a tensor, or of several: `key` names their entry in the archive.
struct PickleStorage {
  std::string dtype;  // as in safetensors: "F32", "BF16", "I64", ...
  std::string key;
  int64_t count = 0;
};

/// A view of a storage. Every element lies inside it, and there are no more elements than it holds.
struct PickleTensor {
  size_t storage = 0;  // index into Pickle::storages()
  int64_t offset = 0;  // in elements
  std::vector<int64_t> shape, strides;
  [[nodiscard]] int64_t count() const;
  [[nodiscard]] bool contiguous() const;
};

class PickleValue;

/// One pickle. Values are nodes of a graph, shared where the pickle shares them, so cycles are possible: go down by name, not by recursion.
class Pickle {
 public:
  /// `path` is for messages, which say "data.pkl, byte N". Throws FileError: `refused: MODULE.NAME`, `refused: opcode`, `nested deeper
  /// than`, `more than`, `cut`.
  static Pickle parse(std::string bytes, const std::string& path);

  [[nodiscard]] PickleValue root() const;
  [[nodiscard]] const std::vector<PickleStorage>& storages() const { return storages_; }

 private:
  friend class PickleValue;
  friend class Unpickler;

  enum class Kind : uint8_t { none, boolean, integer, real, text, sequence, dict, storage, tensor, name };
  struct Node {
    Kind kind = Kind::none;
    uint32_t depth = 1;   // of the values below it, itself included
    int64_t integer = 0;  // or boolean, the bits of a real, an index into the lists below
  };

  std::string bytes_;  // texts point into it
  std::deque<Node> nodes_;
  std::vector<std::string_view> texts_;
  std::deque<std::vector<uint32_t>> items_;  // of a sequence; of a dict key, value, key, value, ...
  std::vector<PickleStorage> storages_;
  std::vector<PickleTensor> tensors_;
  uint32_t root_ = 0;
};

/// A value of a pickle, which must outlive it.
class PickleValue {
 public:
  PickleValue(const Pickle& pickle, uint32_t node) : pickle_(&pickle), node_(node) {}

  [[nodiscard]] bool is_none() const { return kind() == Pickle::Kind::none; }
  [[nodiscard]] bool is_dict() const { return kind() == Pickle::Kind::dict; }
  /// Nothing when it is of another kind. A boolean is no integer, an integer is a real.
  [[nodiscard]] std::optional<bool> boolean() const;
  [[nodiscard]] std::optional<int64_t> integer() const;
  [[nodiscard]] std::optional<double> real() const;
  [[nodiscard]] std::optional<std::string_view> text() const;
  [[nodiscard]] const PickleTensor* tensor() const;

  /// Of a dict: pairs; 0 for everything else.
  [[nodiscard]] size_t pairs() const;
  [[nodiscard]] PickleValue key(size_t pair) const;
  [[nodiscard]] PickleValue value(size_t pair) const;
  /// The value of a text key; the last one, as in Python.
  [[nodiscard]] std::optional<PickleValue> member(std::string_view name) const;

 private:
  [[nodiscard]] const Pickle::Node& node() const { return pickle_->nodes_[node_]; }
  [[nodiscard]] Pickle::Kind kind() const { return node().kind; }

  const Pickle* pickle_;
  uint32_t node_;
};

/// The dtype, as in safetensors, of a PyTorch storage class such as "FloatStorage", or empty.
std::string_view storage_dtype(std::string_view torch_class);
/// The way back; empty for a dtype that has no such class.
std::string_view storage_class(std::string_view dtype);

}  // namespace aot
