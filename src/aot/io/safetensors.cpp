// SPDX-License-Identifier: Apache-2.0
#include "aot/io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>

#include "aot/io/error.h"
#include "aot/io/json.h"
#include "aot/io/json_reader.h"
#include "aot/io/sha256.h"

namespace aot {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // as the reference implementation
constexpr size_t kMaxTensors = 100'000, kMaxMetadata = 200'000, kMaxNameBytes = 512, kMaxRank = 8;
constexpr int kMaxDepth = 8;
constexpr size_t kPieceBytes = 8u << 20;

std::string digest_key(const std::string& name) {
  return "sha256." + name;
}

/// Bytes that a tensor of that type and shape has; nothing when the number does not fit.
std::optional<uint64_t> bytes_of(size_t element_bytes, const std::vector<int64_t>& shape) {
  uint64_t bytes = element_bytes;
  for (const int64_t size : shape)
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes)) return std::nullopt;
  return bytes;
}

/// Reads the JSON header of one file.
class HeaderParser {
 public:
  HeaderParser(std::string_view header, const std::string& path, uint64_t data_start, uint64_t data_bytes)
      : json_(header, path, kMaxDepth, 8), path_(path), data_start_(data_start), data_bytes_(data_bytes) {}

  void run() {
    json_.enter_object();
    bool has_metadata = false;
    for (std::string name; json_.next_member(name);) {
      if (name == "__metadata__") {
        if (has_metadata) json_.fail("duplicate key '__metadata__'");
        has_metadata = true;
        read_metadata();
        continue;
      }
      if (tensors.size() == kMaxTensors) json_.fail(str("more than ", kMaxTensors, " tensors"));
      if (name.size() > kMaxNameBytes) json_.fail(str("tensor name longer than ", kMaxNameBytes, " bytes"));
      read_tensor(name);
    }
    json_.finish();
  }

  std::vector<TensorEntry> tensors;
  std::map<std::string, std::string> metadata;

 private:
  [[noreturn]] void fail(const TensorEntry& tensor, const std::string& problem) const {
    throw FileError(path_, "tensor '" + tensor.name + "'", problem);
  }

  void read_metadata() {
    json_.enter_object();
    for (std::string key; json_.next_member(key);) {
      if (metadata.size() == kMaxMetadata) json_.fail(str("more than ", kMaxMetadata, " metadata entries"));
      if (!metadata.emplace(key, json_.text()).second) json_.fail(str("duplicate metadata key '", escaped(key, 80), "'"));
    }
  }

  void read_tensor(const std::string& name) {
    TensorEntry tensor;
    tensor.name = name;
    std::vector<int64_t> offsets;
    bool has_dtype = false, has_shape = false, has_offsets = false;
    const auto once = [&](bool& seen, const char* key) {
      if (seen) fail(tensor, str("duplicate key '", key, "'"));
      seen = true;
    };
    json_.enter_object();
    for (std::string key; json_.next_member(key);) {
      if (key == "dtype") {
        once(has_dtype, "dtype");
        tensor.dtype = json_.text();
      } else if (key == "shape") {
        once(has_shape, "shape");
        tensor.shape = read_integers(tensor, "shape", kMaxRank, str("rank is larger than ", kMaxRank));
      } else if (key == "data_offsets") {
        once(has_offsets, "data_offsets");
        offsets = read_integers(tensor, "data_offsets", 2, "data_offsets must be two offsets");
      } else {
        fail(tensor, str("unknown key '", escaped(key, 80), "'"));
      }
    }
    for (const auto& [seen, key] : {std::pair(has_dtype, "dtype"), std::pair(has_shape, "shape"), std::pair(has_offsets, "data_offsets")})
      if (!seen) fail(tensor, str("missing '", key, "'"));
    place(tensor, offsets);
    tensors.push_back(std::move(tensor));
  }

  std::vector<int64_t> read_integers(const TensorEntry& tensor, const char* key, size_t most, const std::string& too_many) {
    std::vector<int64_t> out;
    const auto fail_kind = [&](std::string_view found) {
      fail(tensor, str(key, " must hold non-negative integers below 2^63 (found ", escaped(found, 40), ")"));
    };
    json_.enter_array();
    while (json_.next_item()) {
      if (out.size() == most) fail(tensor, too_many);
      if (json_.kind() != JsonReader::Kind::number) fail_kind(kind_text(json_.kind()));
      const std::string_view number = json_.number();
      int64_t value = 0;
      if (!integer_of(number, value) || value < 0) fail_kind(number);
      out.push_back(value);
    }
    return out;
  }

  void place(TensorEntry& tensor, const std::vector<int64_t>& offsets) const {
    const size_t element_bytes = safetensors_dtype_bytes(tensor.dtype);
    if (element_bytes == 0) fail(tensor, str("unknown dtype '", escaped(tensor.dtype, 40), "'"));
    const std::optional<uint64_t> bytes = bytes_of(element_bytes, tensor.shape);
    if (!bytes) fail(tensor, "size overflows 64 bits");
    if (offsets.size() != 2) fail(tensor, str("data_offsets must be two offsets (found ", offsets.size(), ")"));
    const auto begin = static_cast<uint64_t>(offsets[0]), end = static_cast<uint64_t>(offsets[1]);
    if (begin > end) fail(tensor, str("data_offsets are reversed (", begin, " > ", end, ")"));
    if (end > data_bytes_) fail(tensor, str("data_offsets lead past the end of the file (", end, " of ", data_bytes_, " data bytes)"));
    if (end - begin != *bytes) fail(tensor, str("needs ", *bytes, " bytes, data_offsets give ", end - begin));
    tensor.offset = data_start_ + begin;
    tensor.bytes = *bytes;
  }

  JsonReader json_;
  const std::string& path_;
  uint64_t data_start_, data_bytes_;
};

uint64_t read_header_length(const InputFile& file) {
  if (file.size() == 0) throw FileError(file.path(), "", "empty file");
  if (file.size() < 8) throw FileError(file.path(), "", str("need at least 8 bytes (found ", file.size(), "), not a safetensors file"));
  char start[16] = {};
  file.read_at(0, start, std::min<uint64_t>(file.size(), sizeof start));
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<uint8_t>(start[i]);
  const bool plausible = length != 0 && length <= file.size() - 8 && start[8] == '{';
  if (plausible && length <= kMaxHeaderBytes) return length;
  if (const auto kind = looks_like({start, sizeof start}); !kind.empty())
    throw FileError(file.path(), "", str("looks like ", kind, ", need safetensors"));
  if (length == 0) throw FileError(file.path(), "byte 0", "header length is 0");
  if (length > file.size() - 8)
    throw FileError(file.path(), "byte 0", str("header length ", length, " exceeds the file (", file.size() - 8, " bytes left)"));
  if (length > kMaxHeaderBytes)
    throw FileError(file.path(), "byte 0", str("header length ", length, " is larger than ", kMaxHeaderBytes / 1'000'000, " MB"));
  throw FileError(file.path(), "byte 8", "header must begin with '{'");
}

/// Sorts by place and sees to it that the tensors cover the data exactly.
void check_cover(std::vector<TensorEntry>& tensors, const InputFile& file, uint64_t data_start) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.bytes != b.bytes ? a.bytes < b.bytes : a.name < b.name;
  });
  uint64_t end = data_start;
  const TensorEntry* last = nullptr;
  for (const TensorEntry& tensor : tensors) {
    const std::string place = "tensor '" + tensor.name + "'";
    if (tensor.offset < end) throw FileError(file.path(), place, str("overlaps tensor '", escaped(last->name, 80), "'"));
    if (tensor.offset > end) throw FileError(file.path(), place, str("hole of ", tensor.offset - end, " bytes before it"));
    end = tensor.offset + tensor.bytes;
    last = &tensor;
  }
  if (end != file.size()) throw FileError(file.path(), str("byte ", end), str(file.size() - end, " bytes after the last tensor"));
}

std::string quoted(const std::string& text) {
  return dump_json(Json(text));
}

}  // namespace

size_t safetensors_dtype_bytes(const std::string& dtype) {
  static constexpr std::pair<std::string_view, size_t> kTypes[] = {{"F64", 8},  {"I64", 8}, {"U64", 8},  {"F32", 4},     {"I32", 4},
                                                                   {"U32", 4},  {"F16", 2}, {"BF16", 2}, {"I16", 2},     {"U16", 2},
                                                                   {"BOOL", 1}, {"U8", 1},  {"I8", 1},   {"F8_E4M3", 1}, {"F8_E5M2", 1}};
  for (const auto& [name, bytes] : kTypes)
    if (dtype == name) return bytes;
  return 0;
}

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(path) {
  const uint64_t header_bytes = read_header_length(file_);
  const uint64_t data_start = 8 + header_bytes;
  {
    std::string header(header_bytes, '\0');
    file_.read_at(8, header.data(), header.size());
    HeaderParser parser(header, path, data_start, file_.size() - data_start);
    parser.run();
    tensors_ = std::move(parser.tensors);
    metadata_ = std::move(parser.metadata);
  }
  check_cover(tensors_, file_, data_start);
  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), size_t{0});
  std::sort(by_name_.begin(), by_name_.end(), [this](size_t a, size_t b) { return tensors_[a].name < tensors_[b].name; });
  for (size_t i = 1; i < by_name_.size(); ++i)
    if (const std::string& name = tensors_[by_name_[i]].name; name == tensors_[by_name_[i - 1]].name)
      throw FileError(path, "tensor '" + name + "'", "duplicate tensor");
  file_.check_unchanged();
}

const TensorEntry* SafetensorsFile::find(const std::string& name) const {
  const auto found = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                      [this](size_t i, const std::string& wanted) { return tensors_[i].name < wanted; });
  return found != by_name_.end() && tensors_[*found].name == name ? &tensors_[*found] : nullptr;
}

void SafetensorsFile::read(const TensorEntry& entry, void* into) const {
  const auto wanted = metadata_.find(digest_key(entry.name));
  Sha256 digest;
  for (uint64_t at = 0; at < entry.bytes;) {
    const size_t bytes = std::min<uint64_t>(kPieceBytes, entry.bytes - at);
    char* piece = static_cast<char*>(into) + at;
    file_.read_at(entry.offset + at, piece, bytes);
    if (wanted != metadata_.end()) digest.add(piece, bytes);
    at += bytes;
  }
  file_.check_unchanged();
  if (wanted != metadata_.end() && digest.hex() != wanted->second)
    throw FileError(path(), "tensor '" + entry.name + "'", "digest mismatch", "the file is damaged");
}

std::string write_safetensors(const std::string& path, const std::vector<TensorData>& tensors,
                              std::map<std::string, std::string> metadata) {
  std::vector<TensorStream> streams;
  for (const TensorData& tensor : tensors)
    streams.push_back({tensor.name, tensor.dtype, tensor.shape, [&tensor](const ByteSink& sink) { sink(tensor.data, tensor.bytes); }});
  return write_safetensors(path, streams, std::move(metadata));
}

std::string write_safetensors(const std::string& path, const std::vector<TensorStream>& tensors,
                              std::map<std::string, std::string> metadata) {
  std::vector<const TensorStream*> order;
  metadata["format"] = "pt";
  for (const TensorStream& tensor : tensors) {
    Sha256 digest;
    uint64_t bytes = 0;
    tensor.write([&](const void* data, size_t count) {
      digest.add(data, count);
      bytes += count;
    });
    if (bytes != bytes_of(safetensors_dtype_bytes(tensor.dtype), tensor.shape) || safetensors_dtype_bytes(tensor.dtype) == 0)
      throw Error(ExitCode::failed,
                  str("write_safetensors: tensor '", tensor.name, "' has ", bytes, " bytes, not those of its shape and dtype"));
    if (!metadata.emplace(digest_key(tensor.name), digest.hex()).second)
      throw Error(ExitCode::failed, str("write_safetensors: tensor '", tensor.name, "' given twice"));
    order.push_back(&tensor);
  }
  std::stable_sort(order.begin(), order.end(), [](const TensorStream* a, const TensorStream* b) {
    return safetensors_dtype_bytes(a->dtype) > safetensors_dtype_bytes(b->dtype);
  });
  std::string header = "{\"__metadata__\":{";
  for (const auto& [key, value] : metadata) header += (header.back() == '{' ? "" : ",") + quoted(key) + ":" + quoted(value);
  header += "}";
  uint64_t end = 0;
  for (const TensorStream* tensor : order) {
    const uint64_t bytes = *bytes_of(safetensors_dtype_bytes(tensor->dtype), tensor->shape);
    const Json entry = {{"dtype", tensor->dtype}, {"shape", tensor->shape}, {"data_offsets", {end, end + bytes}}};
    header += "," + quoted(tensor->name) + ":" + dump_json(entry);
    end += bytes;
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  require_free_space(folder_of(path), 8 + header.size() + end);

  OutputFile file(path);
  char length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<char>(header.size() >> (8 * i));
  file.write(length, sizeof length);
  file.write(header);
  for (const TensorStream* tensor : order) tensor->write([&file](const void* data, size_t bytes) { file.write(data, bytes); });
  return file.finish();
}

}  // namespace aot
