// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <exception>
#include <filesystem>
#include <thread>
#include <utility>

#include "aot/core/random.h"
#include "aot/core/signals.h"
#include "aot/data/image_meta.h"
#include "aot/data/image_source.h"
#include "aot/data/large_images.h"
#include "aot/data/resize.h"
#include "aot/data/view.h"
#include "aot/io/error.h"
#include "aot/io/file.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBlock = 32;                // images decoded together
constexpr uint64_t kBlockBytes = 64u << 20;  // of their files, unless one alone is larger
constexpr int64_t kLookSide = 224;           // of images that are only looked at: the size at which they are usually trained on
constexpr int64_t kLookPixels = 1'000'000;   // no look is larger

struct Entry {
  std::string path;
  int64_t label = 0;
};

bool is_hidden(const fs::path& path) {
  return path.filename().native().front() == '.';
}

/// Runs `work` on the entries of a folder that are not hidden, in order of name.
template <class Work>
void for_entries(const std::string& folder, const Work& work) {
  std::error_code error;
  std::vector<fs::directory_entry> entries;
  fs::directory_iterator entry(folder, error);
  for (const fs::directory_iterator end; !error && entry != end; entry.increment(error))
    if (!is_hidden(entry->path())) entries.push_back(*entry);
  if (error) throw FileError(folder, "", "cannot list this folder: " + error.message(), "", ExitCode::io);
  std::sort(entries.begin(), entries.end());
  for (const fs::directory_entry& found : entries) work(found);
}

std::vector<std::string> class_names(const std::string& folder) {
  std::vector<std::string> names;
  for_entries(folder, [&](const fs::directory_entry& entry) {
    if (entry.is_directory()) names.push_back(entry.path().filename().native());
  });
  if (names.empty())
    throw FileError(folder, "", "has no folders, need one folder of images per class", "a text corpus is prepared without --images");
  if (static_cast<int64_t>(names.size()) > kMaxClasses)
    throw FileError(folder, "", str("has ", names.size(), " folders, need at most ", kMaxClasses, " classes"));
  return names;
}

void list_files(const std::string& folder, int64_t label, std::vector<Entry>& files) {
  for_entries(folder, [&](const fs::directory_entry& entry) {
    if (entry.is_directory() && !entry.is_symlink())
      list_files(entry.path().native(), label, files);
    else if (!entry.is_directory())
      files.push_back({entry.path().native(), label});
  });
}

/// The images of all classes, in an order drawn at random, always the same.
std::vector<Entry> list_images(const std::string& folder, const std::vector<std::string>& classes) {
  std::vector<Entry> files;
  for (const std::string& name : class_names(folder)) {
    const auto known = std::lower_bound(classes.begin(), classes.end(), name);
    if (known == classes.end() || *known != name)
      throw FileError(folder, "", str("class '", escaped(name, 80), "' has no folder among the training images"));
    list_files(str(folder, "/", name), known - classes.begin(), files);
  }
  if (files.empty()) throw FileError(folder, "", "has no images");
  Random random(derive_seed(0, "order of a folder"));
  shuffle(files, random);
  return files;
}

class FolderImages final : public ImageSource {
 public:
  FolderImages(std::vector<Entry> entries, const FolderOptions& options) : entries_(std::move(entries)), options_(options) {}

  [[nodiscard]] int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
  [[nodiscard]] const std::vector<std::string>& skipped() const override { return skipped_; }

  bool next(LabelledImage& into) override {
    if (at_ == block_.size()) decode_block();
    Decoded& decoded = block_[at_++];
    if (decoded.error == nullptr) {
      std::swap(into, decoded.image);
      return true;
    }
    try {
      std::rethrow_exception(decoded.error);
    } catch (const FileError& error) {
      if (!options_.skip_bad || error.code != ExitCode::bad_file) throw;
      skipped_.emplace_back(error.what());
    }
    return false;
  }

 private:
  struct Decoded {
    LabelledImage image;
    std::exception_ptr error;
  };

  void decode_block() {
    const size_t first = done_;
    uint64_t bytes = 0;
    for (; done_ < entries_.size() && done_ - first < kBlock; ++done_) {
      std::error_code ignored;  // told when the file is read
      const uint64_t size = fs::file_size(entries_[done_].path, ignored);
      if (!ignored) bytes += std::min(size, kMaxImageFileBytes);
      if (bytes > kBlockBytes && done_ > first) break;
    }
    block_.assign(done_ - first, {});
    at_ = 0;
    std::atomic<size_t> next = 0;
    const auto work = [&] {
      for (size_t i = next++; i < block_.size(); i = next++) {
        try {
          decode(entries_[first + i], block_[i].image);
        } catch (...) {
          block_[i].error = std::current_exception();
        }
      }
    };
    const BlockedSignals blocked;
    std::vector<std::thread> threads;
    for (int64_t i = 1; i < options_.threads; ++i) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
  }

  void decode(const Entry& entry, LabelledImage& into) {
    into.label = entry.label;
    std::string file = read_file(entry.path, kMaxImageFileBytes);
    into.size = read_image_size(file, entry.path);
    const LargeImages::Room room(large_, into.size);  // until it is resized
    const int64_t side = options_.size > 0 ? options_.size : kLookSide;
    const Box whole = {0, 0, static_cast<double>(into.size.height), static_cast<double>(into.size.width)};
    const int64_t shorter = std::min(into.size.height, into.size.width);
    Image decoded;
    decode_image(file, entry.path, 3, shrink_for(whole, side * into.size.height / shorter, side * into.size.width / shorter), decoded);
    if (options_.size > 0) {
      resize_and_crop(decoded, options_.size, options_.size, options_.size, into.image);
      return;
    }
    into.file = std::move(file);
    if (decoded.height * decoded.width > kLookPixels)
      resize_and_crop(decoded, kLookSide, kLookSide, kLookSide, into.image);
    else
      into.image = std::move(decoded);
  }

  std::vector<Entry> entries_;
  FolderOptions options_;
  size_t done_ = 0;  // entries decoded
  std::vector<Decoded> block_;
  size_t at_ = 0;  // in block_
  LargeImages large_;
  std::vector<std::string> skipped_;
};

}  // namespace

ImageSources open_image_folder(const std::string& path, const FolderOptions& options) {
  std::error_code ignored;
  const bool has_parts = fs::is_directory(path + "/train", ignored) && fs::is_directory(path + "/val", ignored);
  const std::string train = has_parts ? path + "/train" : path;
  ImageSources sources;
  sources.classes = class_names(train);
  sources.train = std::make_unique<FolderImages>(list_images(train, sources.classes), options);
  if (has_parts) sources.val = std::make_unique<FolderImages>(list_images(path + "/val", sources.classes), options);
  return sources;
}

}  // namespace aot
