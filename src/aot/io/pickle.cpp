// SPDX-License-Identifier: Apache-2.0
#include "aot/io/pickle.h"

#include <algorithm>
#include <bit>

namespace aot {
namespace {

constexpr std::pair<std::string_view, std::string_view> kStorageClasses[] = {
    {"FloatStorage", "F32"}, {"DoubleStorage", "F64"}, {"HalfStorage", "F16"}, {"BFloat16Storage", "BF16"}, {"LongStorage", "I64"},
    {"IntStorage", "I32"},   {"ShortStorage", "I16"},  {"CharStorage", "I8"},  {"ByteStorage", "U8"},       {"BoolStorage", "BOOL"}};

}  // namespace

int64_t PickleTensor::count() const {
  int64_t count = 1;  // cannot overflow: it is at most that of the storage
  for (const int64_t size : shape) count *= size;
  return count;
}

bool PickleTensor::contiguous() const {
  int64_t expected = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != expected) return count() == 0;
    expected *= std::max<int64_t>(shape[i], 1);
  }
  return true;
}

PickleValue Pickle::root() const {
  return {*this, root_};
}

std::optional<bool> PickleValue::boolean() const {
  if (kind() != Pickle::Kind::boolean) return std::nullopt;
  return node().integer != 0;
}

std::optional<int64_t> PickleValue::integer() const {
  if (kind() != Pickle::Kind::integer) return std::nullopt;
  return node().integer;
}

std::optional<double> PickleValue::real() const {
  if (kind() == Pickle::Kind::integer) return static_cast<double>(node().integer);
  if (kind() != Pickle::Kind::real) return std::nullopt;
  return std::bit_cast<double>(node().integer);
}

std::optional<std::string_view> PickleValue::text() const {
  if (kind() != Pickle::Kind::text) return std::nullopt;
  return pickle_->texts_[static_cast<size_t>(node().integer)];
}

const PickleTensor* PickleValue::tensor() const {
  return kind() == Pickle::Kind::tensor ? &pickle_->tensors_[static_cast<size_t>(node().integer)] : nullptr;
}

size_t PickleValue::pairs() const {
  return is_dict() ? pickle_->items_[static_cast<size_t>(node().integer)].size() / 2 : 0;
}

PickleValue PickleValue::key(size_t pair) const {
  return {*pickle_, pickle_->items_[static_cast<size_t>(node().integer)][2 * pair]};
}

PickleValue PickleValue::value(size_t pair) const {
  return {*pickle_, pickle_->items_[static_cast<size_t>(node().integer)][2 * pair + 1]};
}

std::optional<PickleValue> PickleValue::member(std::string_view name) const {
  for (size_t i = pairs(); i-- > 0;)
    if (key(i).text() == name) return value(i);
  return std::nullopt;
}

std::string_view storage_dtype(std::string_view torch_class) {
  for (const auto& [name, dtype] : kStorageClasses)
    if (name == torch_class) return dtype;
  return {};
}

std::string_view storage_class(std::string_view dtype) {
  for (const auto& [name, known] : kStorageClasses)
    if (known == dtype) return name;
  return {};
}

}  // namespace aot
