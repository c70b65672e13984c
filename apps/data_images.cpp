// SPDX-License-Identifier: Apache-2.0
#include "apps/data_images.h"

#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/data/contact_sheet.h"
#include "aot/data/image_dataset.h"
#include "aot/data/image_make.h"
#include "aot/io/error.h"
#include "aot/io/json.h"
#include "aot/io/output.h"

namespace aot {
namespace {

constexpr size_t kClassesShown = 20;
constexpr int64_t kSheetColumns = 16, kSheetRows = 8;
constexpr int64_t kDigitSide = 28, kShapeSide = 64, kMaxDrawnSide = 1024, kMaxPackedSide = 1024;

Json split_facts(const ImageSplit& split, const std::string& sha256, size_t classes) {
  split.check_all();
  std::vector<int64_t> counts(classes);
  for (int64_t i = 0; i < split.size(); ++i) ++counts[static_cast<size_t>(split.label(i))];
  return {{"images", split.size()}, {"sha256", sha256}, {"per_class", counts}};
}

std::string size_text(int64_t height, int64_t width, int64_t channels) {
  return height > 0 ? fmt::format("{} x {} x {}", height, width, channels) : "files of their own sizes";
}

void print_packed(const std::optional<ImageMeta>& meta, const std::string& out, const GeneralOptions& general) {
  if (!meta) return log_warning("stopped; nothing was written");
  const int64_t val = meta->val ? meta->val->images : 0;
  if (general.json)
    return print(dump_json({{"out", out},
                            {"height", meta->height},
                            {"width", meta->width},
                            {"channels", meta->channels},
                            {"classes", meta->classes.size()},
                            {"masks", !meta->train.masks_sha256.empty()},
                            {"train_images", meta->train.images},
                            {"val_images", val},
                            {"skipped", meta->skipped},
                            {"skipped_for", meta->reasons}}) +
                 "\n");
  print(fmt::format("{}: {} train and {} val images ({}) in {} classes\n", escaped(out), meta->train.images, val,
                    size_text(meta->height, meta->width, meta->channels), meta->classes.size()));
}

struct MakeState {
  std::string kind;
  int64_t count = 10'000, size = 0;
  PackOptions pack;
  Fields fields;
};

void run_make(const MakeState& state, const GeneralOptions& general) {
  check_pack_options(state.pack);
  catch_stop_signals();
  const uint64_t seed = first_seed(general);
  const bool digits = state.kind == "digits";
  const int64_t size = state.size > 0 ? state.size : digits ? kDigitSide : kShapeSide;
  print_packed(pack_images(digits ? drawn_digits(state.count, size, seed) : drawn_shapes(state.count, size, seed),
                           str("drawn ", state.kind, ", seed ", seed), state.pack),
               state.pack.out, general);
}

}  // namespace

void describe(Fields& fields, ImagePrepareOptions& options) {
  fields.heading("Prepare images");
  fields.add("images", options.images, "folder with a folder of JPEG and PNG files per class, CIFAR's files, or an IDX file")
      .metavar("PATH");
  fields.add("labels", options.labels, "IDX file with the labels").metavar("FILE");
  fields.add("val-images", options.val_images, "IDX file of the validation part; without one the last of --images are kept for it")
      .metavar("FILE");
  fields.add("val-labels", options.val_labels, "IDX file with the labels of --val-images").metavar("FILE");
  fields.add("format", options.format, "what the images are; auto: a folder of files, or IDX")
      .choices({"auto", "folder", "idx", "cifar10", "cifar100"});
  fields.add("size", options.folder.size, "folder: packs pixels, the shorter side resized to this, the middle cut out; 0: packs the files")
      .min(0)
      .max(kMaxPackedSide);
  fields.add("skip-bad", options.folder.skip_bad, "folder: leaves bad images out and names them");
  fields.add("val-count", options.pack.val_count, "images, the last ones, kept for validation; -1: by --val").min(-1);
}

void run_prepare_images(const ImagePrepareOptions& options, const GeneralOptions& general) {
  catch_stop_signals();
  print_packed(prepare_images(options), options.pack.out, general);
}

void run_inspect_images(const std::string& path, const std::string& sheet, const GeneralOptions& general) {
  const ImageDataset data = open_image_dataset(path);
  if (!sheet.empty()) write_file_atomically(sheet, encode_png(contact_sheet(*data.train, kSheetColumns, kSheetRows)));
  const size_t classes = data.classes.size();
  const Json facts = {{"path", data.path},
                      {"height", data.height},
                      {"width", data.width},
                      {"channels", data.channels},
                      {"classes", data.classes},
                      {"mean", data.mean},
                      {"std", data.std},
                      {"train", split_facts(*data.train, data.train_sha256, classes)},
                      {"val", data.val ? split_facts(*data.val, data.val_sha256, classes) : Json()}};
  if (general.json) return print(dump_json(facts) + "\n");
  print(fmt::format("images      {}\n", size_text(data.height, data.width, data.channels)));
  for (const char* split : {"train", "val"}) {
    const Json& part = facts[split];
    if (part.is_null())
      print(fmt::format("{:<11} none\n", split));
    else
      print(fmt::format("{:<11} {} images, as they were prepared\n", split, part["images"].get<int64_t>()));
  }
  print(fmt::format("{:<11} {:>7} {:>7}\n", "class", "train", "val"));
  for (size_t i = 0; i < std::min(classes, kClassesShown); ++i)
    print(fmt::format("{:<11} {:>7} {:>7}\n", escaped(data.classes[i], 40), facts["train"]["per_class"][i].get<int64_t>(),
                      data.val ? facts["val"]["per_class"][i].get<int64_t>() : 0));
  if (classes > kClassesShown) print(fmt::format("and {} more classes\n", classes - kClassesShown));
}

void add_make_images(Subcommand& command) {
  const auto state = std::make_shared<MakeState>();
  CLI::App* app = command.app.add_subcommand("make", "draws labelled images: digits from strokes, or shapes on textures with their masks");
  app->fallthrough();
  set_examples(*app,
               "aot data make shapes --out data/shapes --seed 1\naot data make digits --count 2000 --val 0.5 --out data/digits --seed 1\n");
  app->add_option("KIND", state->kind, "shapes or digits")->required()->check(CLI::IsMember({"shapes", "digits"}));
  state->fields.heading("Make");
  state->fields.add("count", state->count, "images in all").min(1).max(10'000'000);
  state->fields.add("size", state->size, "side in pixels; 0: 64 for shapes, 28 for digits").min(0).max(kMaxDrawnSide);
  state->fields.add("val", state->pack.val, "share of the images, the last ones, kept for validation").min(0);
  state->fields.add("out", state->pack.out, "folder to make; must not exist or be empty").metavar("DIR");
  state->fields.add_flags(*app);
  app->callback([state, &general = command.general] {
    resolve(state->fields);
    run_make(*state, general);
  });
}

}  // namespace aot
