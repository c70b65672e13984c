// SPDX-License-Identifier: Apache-2.0
// Classes of pictures, from prepared images.
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include "aot/core/log.h"
#include "aot/data/image_loader.h"
#include "aot/eval/pictures.h"
#include "aot/io/error.h"
#include "aot/models/checkpoint.h"
#include "aot/models/vision.h"
#include "aot/models/vision_transfer.h"
#include "aot/train/model_fields.h"
#include "aot/train/task.h"

namespace aot {
namespace {

ImageDataset open_data(const TrainOptions& train) {
  if (train.data.empty()) throw UsageError("train needs --data DIR", "make one by aot data prepare --images DIR --out DIR");
  return open_image_dataset(train.data);
}

/// The model's settings with everything filled in that the data decides.
VisionOptions model_options(VisionOptions model, const ImageDataset& data) {
  const auto classes = static_cast<int64_t>(data.classes.size());
  if (model.image_size == 0) model.image_size = data.height;
  if (model.image_size == 0) throw UsageError("images of " + data.path + " have sizes of their own", "give --image-size");
  if (model.channels == 0) model.channels = data.channels;
  if (model.classes == 0) model.classes = classes;
  if (model.channels != data.channels)
    throw UsageError(str("the images have ", data.channels, " channels, model ", model.channels), str("give --channels ", data.channels));
  if (model.classes < classes)
    throw UsageError(str("the images have ", classes, " classes, model ", model.classes), "raise --classes or leave it out");
  return resolved(model);
}

class VisionTask final : public Task {
 public:
  explicit VisionTask(RunSettings& settings) : train_(settings.train), data_(open_data(settings.train)), settings_(settings.vision) {
    settings_.model = settings.vision.model = model_options(settings_.model, data_);
    const VisionOptions& model = settings_.model;
    if (settings_.resize > 0 && settings_.resize < model.image_size)
      throw UsageError(str("--resize ", settings_.resize, " is below the model's pictures of ", model.image_size, " pixels"),
                       "raise --resize, or 0");
    const bool as_is = data_.height == model.image_size && data_.width == model.image_size;
    view_ = {.image_size = as_is ? 0 : model.image_size, .resize = settings_.resize};
  }

  [[nodiscard]] DataFacts data() const override { return {data_.train_sha256, data_.val_sha256, ""}; }
  [[nodiscard]] bool has_validation() const override { return data_.val != nullptr; }
  [[nodiscard]] ModelSummary summary() const override { return summarize(VisionModel::without_storage(settings_.model), train_.batch); }
  [[nodiscard]] double flop_per_unit() const override { return summary().flop_per_token * static_cast<double>(settings_.model.tokens()); }
  [[nodiscard]] double batch_bytes() const override { return ImageLoader::buffer_bytes(*data_.train, loader_options(0, 0)); }

  [[nodiscard]] std::string about_data() const override {
    return fmt::format("{}: {} images to train on, {} to validate, {} classes", escaped(train_.data), data_.train->size(),
                       data_.val ? data_.val->size() : 0, data_.classes.size());
  }
  [[nodiscard]] std::string about_model() const override {
    const VisionOptions& o = settings_.model;
    return fmt::format("{}, {} layers, width {}, {} heads of {}, {} x {} pixels in patches of {}", o.mixer, o.layers, o.width, o.heads,
                       o.head_dim, o.image_size, o.image_size, o.patch);
  }

  void make_model(uint64_t seed) override { model_.emplace(settings_.model, seed); }
  void start_from(const std::string& checkpoint) override { log_info("weights   " + load_for_finetuning(checkpoint, *model_).text()); }
  void to(at::Device device) override {
    device_ = device;
    model_->to(device, at::kFloat);
  }
  [[nodiscard]] Parameters parameters() const override { return model_->parameters(); }
  void save(AtomicFolder& folder) const override { save_model(folder, *model_); }

  void begin(uint64_t seed, int64_t step) override { loader_.emplace(*data_.train, loader_options(seed, step)); }
  void next_batch() override {
    const ImageBatch batch = loader_->next();
    images_ = on_device(batch, *loader_);
    labels_ = labels_of(batch.labels, batch.count);
    other_labels_ = batch.other_labels == nullptr ? at::Tensor() : labels_of(batch.other_labels, batch.count);
    weight_ = batch.weight;
  }
  [[nodiscard]] at::Tensor loss(const Pass& pass) const override {
    const at::Tensor logits = model_->logits(images_.narrow(0, pass.first, pass.rows),
                                             {.training = true, .dropout_seed = pass.dropout_seed, .recompute = pass.recompute});
    const at::Tensor loss = label_loss(logits, labels_.narrow(0, pass.first, pass.rows), settings_.label_smoothing);
    if (!other_labels_.defined()) return loss;
    const at::Tensor other = label_loss(logits, other_labels_.narrow(0, pass.first, pass.rows), settings_.label_smoothing);
    return loss.mul(weight_).add(other, 1 - weight_);
  }

  [[nodiscard]] std::optional<Evaluation> watch() const override { return scored(settings_.eval_images); }
  [[nodiscard]] std::optional<Evaluation> evaluate() const override { return scored(0); }

 private:
  [[nodiscard]] ImageLoaderOptions loader_options(uint64_t seed, int64_t step) const {
    const int64_t rows = train_.batch * train_.accumulate;
    return {.seed = seed,
            .order = ImageOrder::shuffled,
            .first_sample = step * rows,
            .batch = rows,
            .workers = settings_.workers,
            .mean = data_.mean,
            .std = data_.std,
            .view = view_,
            .augment = settings_.augment};
  }
  [[nodiscard]] at::Tensor on_device(const ImageBatch& batch, const ImageLoader& loader) const {
    return at::from_blob(const_cast<float*>(batch.pixels), {batch.count, data_.channels, loader.height(), loader.width()}, at::kFloat)
        .to(device_);
  }
  [[nodiscard]] at::Tensor labels_of(const int64_t* labels, int64_t count) const {
    return at::from_blob(const_cast<int64_t*>(labels), {count}, at::kLong).to(device_);
  }
  /// On the first `limit` images, or all.
  [[nodiscard]] std::optional<Evaluation> scored(int64_t limit) const {
    const PictureReading reading = {.mean = data_.mean,
                                    .std = data_.std,
                                    .resize = settings_.resize,
                                    .batch = train_.batch,
                                    .limit = limit,
                                    .workers = settings_.workers};
    const std::optional<PictureScore> score = score_pictures(*model_, *data_.val, reading);
    if (!score) return std::nullopt;
    Evaluation out{.loss = score->loss.value(), .count = score->count, .more = {{"top1", score->top1}}};
    if (score->top5) out.more.emplace_back("top5", *score->top5);
    return out;
  }

  const TrainOptions& train_;
  ImageDataset data_;
  VisionSettings settings_;
  ViewOptions view_;
  std::optional<VisionModel> model_;
  at::Device device_ = at::kCPU;
  std::optional<ImageLoader> loader_;
  at::Tensor images_, labels_, other_labels_;  // of a batch; the last one where images are mixed
  double weight_ = 1;                          // of `labels_` there
};

void describe_task(Fields& fields, RunSettings& settings) {
  VisionSettings& vision = settings.vision;
  describe(fields, vision.model);
  fields.heading("Images");
  fields.add("resize", vision.resize, "evaluation: shorter side before the middle is cut out; 0: the model's image size").min(0).max(4096);
  fields.add("workers", vision.workers, "threads that make batches").min(1).max(1024);
  fields.add("eval-images", vision.eval_images, "validation images of evaluations on the way; 0: all, as the last one").min(0).max(1e12);
  fields.add("label-smoothing", vision.label_smoothing, "share of the target that all classes get alike").min(0).max(0.999);
  describe(fields, vision.augment);
}

}  // namespace

TaskEntry vision_task() {
  return {.name = "vision",
          .unit = "images",
          .counted = "images",
          .describe = describe_task,
          .units_per_row = [](const RunSettings&) { return int64_t{1}; },
          .set_model =
              [](Fields& fields, const std::string& checkpoint) {
                set_model_fields(fields, read_vision_options(checkpoint), checkpoint, "classes");  // the new data has its own
              },
          .open = [](RunSettings& settings) -> TaskPtr { return std::make_unique<VisionTask>(settings); }};
}

}  // namespace aot
