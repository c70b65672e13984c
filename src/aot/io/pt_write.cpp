// SPDX-License-Identifier: Apache-2.0
#include "aot/io/pt_write.h"

#include <bit>

#include "aot/io/error.h"
#include "aot/io/pickle.h"
#include "aot/io/zip.h"

namespace aot {
namespace {

uint64_t count_of(const std::vector<int64_t>& shape) {
  uint64_t count = 1;
  for (const int64_t size : shape) count *= static_cast<uint64_t>(size);
  return count;
}

ZipPart part(const std::string& name, const std::string& content) {
  return {"archive/" + name, content.size(), [content](const ByteSink& sink) { sink(content.data(), content.size()); }};
}

}  // namespace

void PtWriter::begin_dict() {
  pickle_ += "}(";
}

void PtWriter::end_dict() {
  pickle_ += 'u';
}

void PtWriter::text(std::string_view value) {
  pickle_ += 'X';
  for (int i = 0; i < 4; ++i) pickle_ += static_cast<char>(value.size() >> (8 * i));
  pickle_ += value;
}

void PtWriter::integer(int64_t value) {
  pickle_ += "\x8a\x08";
  for (int i = 0; i < 8; ++i) pickle_ += static_cast<char>(value >> (8 * i));
}

void PtWriter::real(double value) {
  pickle_ += 'G';
  const auto bits = std::bit_cast<uint64_t>(value);
  for (int i = 7; i >= 0; --i) pickle_ += static_cast<char>(bits >> (8 * i));
}

void PtWriter::boolean(bool value) {
  pickle_ += value ? '\x88' : '\x89';
}

void PtWriter::tensor(TensorStream tensor) {
  const auto numbers = [this](const std::vector<int64_t>& values) {
    pickle_ += '(';
    for (const int64_t value : values) integer(value);
    pickle_ += 't';
  };
  std::vector<int64_t> strides(tensor.shape.size(), 1);
  for (size_t i = strides.size(); i-- > 1;) strides[i - 1] = strides[i] * tensor.shape[i];
  pickle_ += "ctorch._utils\n_rebuild_tensor_v2\n((";
  text("storage");
  pickle_ += "ctorch\n" + std::string(storage_class(tensor.dtype)) + "\n";
  text(std::to_string(storages_.size()));
  text("cpu");
  integer(static_cast<int64_t>(count_of(tensor.shape)));
  pickle_ += "tQ";
  integer(0);
  numbers(tensor.shape);
  numbers(strides);
  boolean(false);
  pickle_ += "ccollections\nOrderedDict\n)RtR";
  storages_.push_back(std::move(tensor));
}

std::string PtWriter::write(const std::string& path) const {
  std::vector<ZipPart> parts = {part("data.pkl", pickle_ + "."), part("byteorder", "little")};
  for (size_t i = 0; i < storages_.size(); ++i) {
    const TensorStream& tensor = storages_[i];
    parts.push_back({str("archive/data/", i), count_of(tensor.shape) * safetensors_dtype_bytes(tensor.dtype), tensor.write});
  }
  parts.push_back(part("version", "3\n"));
  return write_zip(path, parts);
}

}  // namespace aot
