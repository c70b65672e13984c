// SPDX-License-Identifier: Apache-2.0
#include "apps/picture_input.h"

#include <filesystem>

#include "aot/core/device.h"
#include "aot/io/error.h"
#include "aot/models/checkpoint.h"

namespace aot {

void describe(CLI::App& app, Fields& fields, PictureFlags& flags, const PictureChoice& choice) {
  const char* model = "run folder (its best checkpoint, else its last) or checkpoint";
  app.add_option("--model", flags.models, choice.several_models ? str(model, "; may be given again") : model)
      ->type_name("RUN|CHECKPOINT")
      ->allow_extra_args(false);
  fields.add("data", flags.data, "folder of prepared pictures; `aot data prepare --images` and `aot data make` write one").metavar("DIR");
  if (choice.split) fields.add("split", flags.split, "which part of the folder").choices({"val", "train"});
  if (choice.most_images > 0)
    fields.add("images", flags.images, "the first so many pictures").min(1).max(static_cast<double>(choice.most_images));
  else if (choice.images)
    fields.add("images", flags.images, "the first so many pictures; 0: all").min(0);
  fields.add("resize", flags.resize, "shorter side before the middle is cut out; 0: the model's picture size").min(0).max(4096);
  fields.add("batch", flags.batch, "pictures a forward pass").min(1).max(1 << 14);
}

const ImageSplit& PictureInput::split(const std::string& name) const {
  const ImageSplit* split = name == "train" ? data.train.get() : data.val.get();
  if (split == nullptr || split->size() == 0) throw FileError(data.path, "", str("has no split '", name, "'"));
  return *split;
}

PictureInput open_pictures(const PictureFlags& flags, const std::string& command) {
  if (flags.models.empty()) throw UsageError(command + " needs --model RUN|CHECKPOINT");
  if (flags.data.empty()) throw UsageError(command + " needs --data DIR");
  if (!std::filesystem::is_directory(flags.data))
    throw FileError(flags.data, "", std::filesystem::exists(flags.data) ? "not a folder of prepared pictures" : "no such folder",
                    "make one: aot data prepare --images");
  if (!holds_images(flags.data)) throw FileError(flags.data, "", "holds no pictures", "make some: aot data prepare --images");
  PictureInput out{.data = open_image_dataset(flags.data), .reading = {}};
  out.reading = {.mean = out.data.mean,
                 .std = out.data.std,
                 .resize = flags.resize,
                 .batch = flags.batch,
                 .limit = flags.images,
                 .workers = thread_count()};
  return out;
}

LoadedVision load_vision(const std::string& path, const GeneralOptions& general) {
  LoadedVision out{.checkpoint = find_checkpoint(path), .model = nullptr};
  out.model = load_vision_model(out.checkpoint);
  out.model->to(parse_device(general.device), at::kFloat);
  return out;
}

}  // namespace aot
