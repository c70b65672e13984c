// SPDX-License-Identifier: Apache-2.0
// aot bench images: how many images a second the loader makes, beside what libjpeg-turbo alone decodes.
#include <algorithm>
#include <atomic>
#include <cstdio>  // jpeglib.h needs it
#include <cstdlib>
#include <filesystem>
#include <thread>

#include <fmt/format.h>
#include <jpeglib.h>

#include "aot/core/atomic.h"
#include "aot/core/clock.h"
#include "aot/core/random.h"
#include "aot/data/image_loader.h"
#include "aot/data/image_make.h"
#include "aot/data/image_prepare.h"
#include "aot/io/error.h"
#include "apps/bench.h"
#include "apps/bench_support.h"

namespace aot {
namespace {

struct ImagesFlags {
  int64_t height = 375, width = 500, quality = 90, image_size = 224, resize = 256, workers = 0;
  double seconds = 2;
};

void describe(Fields& fields, ImagesFlags& flags) {
  fields.heading("Bench");
  fields.add("height", flags.height, "of the JPEG files").min(16).max(4096);
  fields.add("width", flags.width, "of the JPEG files").min(16).max(4096);
  fields.add("quality", flags.quality, "of the JPEG files").min(1).max(100);
  fields.add("image-size", flags.image_size, "side of what the model sees").min(1).max(4096);
  fields.add("resize", flags.resize, "evaluation: shorter side before the middle is cut out").min(1).max(4096);
  fields.add("workers", flags.workers, "threads; 0: all").min(0).max(1024);
  fields.add("seconds", flags.seconds, "time to measure each row for").above(0).max(3600);
}

constexpr int64_t kPictures = 64;

/// Drawn shapes, enlarged, with some noise as cameras have it: about the bytes a pixel of photographs.
std::string draw_jpeg(ImageSource& shapes, Random& random, const ImagesFlags& flags) {
  LabelledImage drawn;
  shapes.next(drawn);
  Image picture;
  const auto side = static_cast<double>(drawn.image.height);
  resize_image(drawn.image, {0, 0, side, side}, flags.height, flags.width, picture);
  for (uint8_t& pixel : picture.pixels)
    pixel = static_cast<uint8_t>(std::clamp<int>(pixel + static_cast<int>(random.below(25)) - 12, 0, 255));
  jpeg_compress_struct state = {};
  jpeg_error_mgr errors = {};
  state.err = jpeg_std_error(&errors);
  jpeg_create_compress(&state);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // NOLINT: libjpeg's type
  jpeg_mem_dest(&state, &bytes, &size);
  state.image_width = static_cast<JDIMENSION>(flags.width);
  state.image_height = static_cast<JDIMENSION>(flags.height);
  state.input_components = 3;
  state.in_color_space = JCS_RGB;
  jpeg_set_defaults(&state);
  jpeg_set_quality(&state, static_cast<int>(flags.quality), TRUE);
  jpeg_start_compress(&state, TRUE);
  while (state.next_scanline < state.image_height) {
    uint8_t* row = picture.pixels.data() + int64_t{state.next_scanline} * flags.width * 3;
    jpeg_write_scanlines(&state, &row, 1);
  }
  jpeg_finish_compress(&state);
  jpeg_destroy_compress(&state);
  std::string file(reinterpret_cast<char*>(bytes), size);
  std::free(bytes);  // NOLINT: libjpeg's malloc
  return file;
}

/// The drawn files as a source to pack.
class DrawnFiles final : public ImageSource {
 public:
  DrawnFiles(const std::vector<std::string>& files, const ImagesFlags& flags) : files_(files), flags_(flags) {}
  [[nodiscard]] int64_t size() const override { return static_cast<int64_t>(files_.size()); }
  bool next(LabelledImage& into) override {
    into.file = files_[at_++];
    into.size = {flags_.height, flags_.width};
    decode_jpeg(into.file, "drawn", 3, 8, into.image);
    return true;
  }

 private:
  const std::vector<std::string>& files_;
  const ImagesFlags& flags_;
  size_t at_ = 0;
};

/// Images a second that threads decode, each into memory of its own, and do nothing else with.
double decode_rate(const std::vector<std::string>& files, int64_t threads, double seconds) {
  std::atomic<int64_t> images = 0;
  std::vector<std::thread> running;
  const Clock::time_point start = Clock::now();
  for (int64_t i = 0; i < threads; ++i)
    running.emplace_back([&, i] {
      Image image;
      for (auto at = static_cast<size_t>(i); seconds_since(start) < seconds; ++at, ++images)
        decode_jpeg(files[at % files.size()], "drawn", 3, 1, image);
    });
  for (std::thread& thread : running) thread.join();
  return static_cast<double>(images) / seconds_since(start);
}

/// Images a second that the loader gives a consumer who does nothing with them.
double loader_rate(const ImageSplit& split, const ImageLoaderOptions& options, double seconds) {
  ImageLoader loader(split, options);
  for (int i = 0; i < 3; ++i) loader.next();  // what was made ahead
  int64_t images = 0;
  const Clock::time_point start = Clock::now();
  while (seconds_since(start) < seconds) images += loader.next().count;
  return static_cast<double>(images) / seconds_since(start);
}

void run(const ImagesFlags& flags, const GeneralOptions& general) {
  if (flags.resize < flags.image_size) throw UsageError("--resize is below --image-size");
  const int64_t workers = flags.workers > 0 ? flags.workers : std::max<int64_t>(1, std::thread::hardware_concurrency());
  const ImageSources shapes = drawn_shapes(kPictures, 256, 1);
  Random random(1);
  std::vector<std::string> files;
  size_t bytes = 0;
  for (int64_t i = 0; i < kPictures; ++i) bytes += files.emplace_back(draw_jpeg(*shapes.train, random, flags)).size();

  const TemporaryFolder folder(std::filesystem::temp_directory_path().string(), "bench-images", 0700);
  ImageSources sources;
  sources.train = std::make_unique<DrawnFiles>(files, flags);
  sources.classes = {"drawn"};
  pack_images(sources, "drawn", {.out = folder.path() + "/data", .val = 0});
  const ImageDataset data = open_image_dataset(folder.path() + "/data");

  ImageLoaderOptions train = {.seed = 1, .batch = 64, .workers = workers, .mean = data.mean, .std = data.std};
  train.view.image_size = flags.image_size;
  ImageLoaderOptions evaluation = train;
  evaluation.view.resize = flags.resize;  // shuffled too: an order without end
  train.augment = {.crop_scale = .08, .flip = .5};

  constexpr int kRounds = 3;
  std::vector<double> bound, crops, middles;
  for (int round = 0; round < kRounds; ++round) {  // in turns, so that all meet the same machine
    bound.push_back(decode_rate(files, workers, flags.seconds / kRounds));
    crops.push_back(loader_rate(*data.train, train, flags.seconds / kRounds));
    middles.push_back(loader_rate(*data.train, evaluation, flags.seconds / kRounds));
  }
  const double decoded = median(bound);
  for (const auto& [what, rate] :
       {std::pair<const char*, double>{"random resized crop and flip", median(crops)}, {"resize and centre crop", median(middles)}}) {
    if (general.json)
      print(dump_json({{"what", what},
                       {"shape", {{"height", flags.height}, {"width", flags.width}, {"image_size", flags.image_size}}},
                       {"file_bytes", bytes / files.size()},
                       {"workers", workers},
                       {"images_per_s", rate},
                       {"decode_images_per_s", decoded},
                       {"ratio", rate / decoded},
                       {"cpu", cpu_name()}}) +
            "\n");
    else
      print(
          fmt::format("{} x {} -> {} x {}, {:<28} {:>6.0f} images/s with {} workers; libjpeg-turbo alone decodes {:.0f}: {:.2f} of that\n",
                      flags.width, flags.height, flags.image_size, flags.image_size, what, rate, workers, decoded, rate / decoded));
  }
}

}  // namespace

void add_bench_images(CLI::App& bench, GeneralOptions& general) {
  add_bench<ImagesFlags>(bench, general,
                         {"images", "the image loader, beside what libjpeg-turbo alone decodes",
                          "  aot bench images\n  aot bench images --height 1500 --width 2000 --workers 2 --json\n"},
                         describe, run);
}

}  // namespace aot
