// SPDX-License-Identifier: Apache-2.0
#include "apps/data_images.h"

#include <algorithm>

#include <fmt/format.h>

#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/data/image_dataset.h"
#include "aot/io/error.h"
#include "aot/io/json.h"

namespace aot {
namespace {

constexpr size_t kClassesShown = 20;

Json split_facts(const ImageSplit& split, const std::string& sha256, size_t classes) {
  split.check_all();
  std::vector<int64_t> counts(classes);
  for (int64_t i = 0; i < split.size(); ++i) ++counts[static_cast<size_t>(split.label(i))];
  return {{"images", split.size()}, {"sha256", sha256}, {"per_class", counts}};
}

}  // namespace

void describe(Fields& fields, ImagePrepareOptions& options) {
  fields.heading("Prepare images");
  fields.add("images", options.images, "IDX file with images, also gzip").metavar("FILE");
  fields.add("labels", options.labels, "IDX file with their labels, also gzip").metavar("FILE");
  fields.add("format", options.format, "what the files are").choices({"idx"});
  fields.add("val-count", options.val_count, "images, the last ones, kept for validation; -1: by --val").min(-1);
}

void run_prepare_images(const ImagePrepareOptions& options, const GeneralOptions& general) {
  catch_stop_signals();
  const std::optional<ImagePrepareResult> result = prepare_images(options);
  if (!result) return log_warning("stopped; nothing was written");
  const ImageMeta& meta = result->meta;
  const int64_t val = meta.val ? meta.val->images : 0;
  if (general.json)
    return print(dump_json({{"out", options.out},
                            {"height", meta.height},
                            {"width", meta.width},
                            {"channels", meta.channels},
                            {"classes", meta.classes.size()},
                            {"train_images", meta.train.images},
                            {"val_images", val}}) +
                 "\n");
  print(fmt::format("{}: {} train and {} val images of {} x {} x {} in {} classes\n", escaped(options.out), meta.train.images, val,
                    meta.height, meta.width, meta.channels, meta.classes.size()));
}

void run_inspect_images(const std::string& path, const GeneralOptions& general) {
  const ImageDataset data = open_image_dataset(path);
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
  print(fmt::format("images      {} x {} x {}\n", data.height, data.width, data.channels));
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

}  // namespace aot
