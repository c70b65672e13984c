// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <sstream>
#include <utility>

#include "aot/data/image_source.h"
#include "aot/io/error.h"
#include "aot/io/file.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSide = 32, kPlane = kSide * kSide, kPixels = 3 * kPlane;
constexpr uint64_t kMaxNamesBytes = 1u << 16;

struct Variant {
  int64_t label_bytes, classes;
  std::vector<std::string> train, val;
  const char* names;
  [[nodiscard]] int64_t record_bytes() const { return label_bytes + kPixels; }
};

const Variant& variant(bool hundred) {
  static const Variant kTen = {1,
                               10,
                               {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
                               {"test_batch.bin"},
                               "batches.meta.txt"};
  static const Variant kHundred = {2, 100, {"train.bin"}, {"test.bin"}, "fine_label_names.txt"};
  return hundred ? kHundred : kTen;
}

class CifarImages final : public ImageSource {
 public:
  CifarImages(std::vector<std::string> paths, const Variant& kind) : paths_(std::move(paths)), kind_(kind) {
    for (const std::string& path : paths_) counts_.push_back(count_of(path));
    for (const int64_t count : counts_) size_ += count;
  }

  [[nodiscard]] int64_t size() const override { return size_; }
  bool next(LabelledImage& into) override {
    if (record_ == counts_[at_]) {
      ++at_;
      record_ = 0;
    }
    if (record_ == 0) file_.emplace(paths_[at_]);
    const auto record_bytes = static_cast<size_t>(kind_.record_bytes());
    file_->read_at(static_cast<uint64_t>(record_) * record_bytes, bytes_.data(), record_bytes);
    into.label = bytes_[static_cast<size_t>(kind_.label_bytes - 1)];
    if (into.label >= kind_.classes)
      throw FileError(paths_[at_], str("record ", record_), str("label ", into.label, " of ", kind_.classes, " classes"));
    into.image.reshape(kSide, kSide, 3);
    const uint8_t* planes = bytes_.data() + kind_.label_bytes;
    for (int64_t i = 0; i < kPixels; ++i) into.image.pixels[static_cast<size_t>(i)] = planes[i % 3 * kPlane + i / 3];
    ++record_;
    return true;
  }

 private:
  /// Records of one file, which must be whole.
  [[nodiscard]] int64_t count_of(const std::string& path) const {
    const InputFile raw(path);
    if (raw.size() == 0) throw FileError(path, "", "empty file");
    std::array<char, 8> start = {};
    raw.read_at(0, start.data(), std::min<size_t>(start.size(), raw.size()));
    const std::string_view kind = looks_like({start.data(), start.size()});
    if (kind == "a Python pickle") throw FileError(path, "", "looks like a Python pickle: use the binary version of CIFAR");
    if (kind == "gzip") throw FileError(path, "", "looks like gzip: unpack the archive first");
    const auto size = static_cast<int64_t>(raw.size()), record = kind_.record_bytes();
    const int64_t other = kind_.label_bytes == 1 ? record + 1 : record - 1;
    if (size % record != 0)
      throw FileError(path, "",
                      str(size, " bytes are no whole number of ", record, "-byte records",
                          size % other == 0 ? str(": ", other, "-byte records: CIFAR-", other == kPixels + 1 ? 10 : 100, "?") : ""));
    return size / record;
  }

  std::vector<std::string> paths_;
  const Variant& kind_;
  std::vector<int64_t> counts_;  // records per file
  int64_t size_ = 0;
  size_t at_ = 0;  // file
  int64_t record_ = 0;
  std::optional<InputFile> file_;
  std::array<uint8_t, kPixels + 2> bytes_ = {};
};

/// The names of the classes from the file beside the data, or numbers.
std::vector<std::string> names_of(const std::string& folder, const Variant& kind) {
  std::vector<std::string> names;
  const std::string path = folder + "/" + kind.names;
  std::error_code ignored;
  if (fs::exists(path, ignored)) {
    std::istringstream lines(read_file(path, kMaxNamesBytes));
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (!line.empty()) names.push_back(line);
    }
    if (static_cast<int64_t>(names.size()) != kind.classes)
      throw FileError(path, "", str("has ", names.size(), " names, need ", kind.classes));
  } else {
    for (int64_t i = 0; i < kind.classes; ++i) names.push_back(std::to_string(i));
  }
  return names;
}

}  // namespace

ImageSources open_cifar_images(const std::string& path, bool hundred) {
  const Variant& kind = variant(hundred);
  std::error_code ignored;
  ImageSources sources;
  if (!fs::is_directory(path, ignored)) {
    sources.train = std::make_unique<CifarImages>(std::vector<std::string>{path}, kind);
    sources.classes = names_of(folder_of(path), kind);
    return sources;
  }
  const auto paths = [&](const std::vector<std::string>& names) {
    std::vector<std::string> found;
    for (const std::string& name : names) found.push_back(str(path, "/", name));
    return found;
  };
  sources.train = std::make_unique<CifarImages>(paths(kind.train), kind);
  sources.val = std::make_unique<CifarImages>(paths(kind.val), kind);
  sources.classes = names_of(path, kind);
  return sources;
}

}  // namespace aot
