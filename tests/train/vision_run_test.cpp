// SPDX-License-Identifier: Apache-2.0
// Runs of the task `vision` inside one process, on digits that are drawn.
#include <filesystem>

#include <gtest/gtest.h>

#include "aot/core/tensor_file.h"
#include "aot/data/image_dataset.h"
#include "aot/data/image_make.h"
#include "aot/data/image_prepare.h"
#include "aot/eval/pictures.h"
#include "aot/io/manifest.h"
#include "aot/models/checkpoint.h"
#include "aot/train/run.h"
#include "tests/support/files.h"

namespace aot {
namespace {

class VisionRuns : public testing::Test {
 protected:
  VisionRuns() { pack_images(drawn_digits(330, 28, 3), "digits", {.out = folder_.path("digits"), .val_count = 50}); }

  [[nodiscard]] RunRequest request(const std::string& name) const {
    RunRequest out;
    out.folder = folder_.path(name);
    out.settings.vision = {.model = {.width = 32, .layers = 2, .heads = 2, .patch = 7, .dropout = 0.1}, .augment = {.shift = 1}};
    TrainOptions& train = out.settings.train;
    train.task = "vision";
    train.data = folder_.path("digits");
    train.steps = 12;
    train.batch = 16;
    train.accumulate = 2;
    train.schedule = {.lr = 3e-3, .warmup = 2};
    train.seed = 5;
    train.log_every = 1;
    train.eval_every = 6;
    train.save_every = 4;
    return out;
  }

  [[nodiscard]] std::string digest(const std::string& run, int64_t step, const std::string& file = "model.safetensors") const {
    for (const ManifestFile& entry : read_manifest(folder_.path(run + "/checkpoints/" + checkpoint_name(step))).files)
      if (entry.name == file) return entry.sha256;
    return "";
  }

  TestFolder folder_;
};

TEST_F(VisionRuns, LearnAndSayHowOftenTheyAreRight) {
  RunRequest longer = request("run");
  longer.settings.train.steps = 100;
  longer.settings.train.log_every = 100;
  longer.settings.train.eval_every = longer.settings.train.save_every = 0;
  const RunSummary summary = train(std::move(longer));
  ASSERT_TRUE(summary.finished && summary.val);
  EXPECT_EQ(summary.units, 100 * 32);
  EXPECT_EQ(summary.val->count, 50);
  const auto model = load_vision_model(find_checkpoint(folder_.path("run")));
  EXPECT_EQ(model->options().image_size, 28);  // what the data decides is filled in
  EXPECT_EQ(model->options().classes, 10);
  const ImageDataset data = open_image_dataset(folder_.path("digits"));
  const PictureScore score = score_pictures(*model, *data.val, {.mean = data.mean, .std = data.std}).value();
  ASSERT_EQ(summary.val->more.front().first, "top1");
  EXPECT_EQ(summary.val->more.front().second, score.top1);
  EXPECT_NEAR(summary.val->loss, score.loss.value(), 1e-6);
  EXPECT_GT(score.top1, 0.25);  // chance is 0.1
  const Json json = summary_json(summary);
  EXPECT_EQ(json["images"], 100 * 32);
  EXPECT_EQ(json["val_images"], 50);
  EXPECT_EQ(json["val_top1"], score.top1);
  EXPECT_NE(folder_.read("run/metrics.csv").find("images_per_s"), std::string::npos);
}

TEST_F(VisionRuns, GoOnBitForBitWhateverTheNumberOfWorkers) {
  train(request("whole"));
  RunRequest first = request("halves");
  first.settings.train.stop_after = 7;
  EXPECT_FALSE(train(std::move(first)).finished);
  RunRequest second = reopen_run(folder_.path("halves"));
  second.settings = request("halves").settings;
  second.settings.vision.workers = 3;
  EXPECT_TRUE(train(std::move(second)).finished);
  for (const char* file : {"model.safetensors", "optimizer.safetensors"}) EXPECT_EQ(digest("halves", 12, file), digest("whole", 12, file));
}

TEST_F(VisionRuns, RecomputedLayersAndPassesGiveTheSameWeights) {
  train(request("whole"));
  RunRequest again = request("again");
  again.settings.train.recompute = true;
  train(std::move(again));
  EXPECT_EQ(digest("again", 12), digest("whole", 12));
}

TEST_F(VisionRuns, MixTheLabelsOfMixedImages) {
  RunRequest mixed = request("mixed");
  mixed.settings.vision.augment.mixup = 0.8;
  mixed.settings.vision.label_smoothing = 0.1;
  const RunSummary summary = train(std::move(mixed));
  EXPECT_TRUE(summary.finished);
  EXPECT_NE(digest("mixed", 12), "");
}

TEST_F(VisionRuns, StartFromAModelOfOtherClasses) {
  train(request("run"));
  pack_images(drawn_shapes(40, 28, 1), "shapes", {.out = folder_.path("shapes"), .val_count = 8});
  RunRequest coloured = request("refused");  // three channels: another patch map
  coloured.settings.train.data = folder_.path("shapes");
  coloured.settings.train.init_from = folder_.path("run");
  expect_error(2, "channels", [&] { train(std::move(coloured)); });
  RunRequest tuned = request("tuned");
  tuned.settings.train.init_from = folder_.path("run");
  tuned.settings.train.steps = 1;
  tuned.settings.train.schedule = {.lr = 0, .min_lr = 0, .warmup = 0};
  tuned.settings.vision.model.classes = 12;
  train(std::move(tuned));
  const auto before = load_vision_model(find_checkpoint(folder_.path("run"))),
             after = load_vision_model(find_checkpoint(folder_.path("tuned")));
  EXPECT_EQ(after->options().classes, 12);
  const Parameters old_weights = before->parameters(), weights = after->parameters();
  for (size_t i = 0; i < weights.size(); ++i) {
    const bool of_head = weights[i].name.rfind("head", 0) == 0;  // drawn anew
    EXPECT_NE(weights[i].value.equal(old_weights[i].value), of_head) << weights[i].name;
  }
}

TEST_F(VisionRuns, RefuseWhatDoesNotFitTheImages) {
  const auto refused = [this](int code, const std::string& words, const std::function<void(RunRequest&)>& change) {
    RunRequest changed = request("refused");
    change(changed);
    expect_error(code, words, [&] { train(std::move(changed)); });
    EXPECT_FALSE(std::filesystem::exists(folder_.path("refused")));
  };
  refused(2, "the images have 1 channels, model 3", [](RunRequest& r) { r.settings.vision.model.channels = 3; });
  refused(2, "the images have 10 classes, model 9", [](RunRequest& r) { r.settings.vision.model.classes = 9; });
  refused(2, "--resize 20 is below", [](RunRequest& r) { r.settings.vision.resize = 20; });
  refused(2, "do not divide", [](RunRequest& r) { r.settings.vision.model.patch = 5; });
  refused(2, "train needs --data", [](RunRequest& r) { r.settings.train.data.clear(); });
  refused(4, "of it for batches",
          [](RunRequest& r) { r.settings.train.accumulate = int64_t{1} << 30; });  // a hundred terabytes of pictures
  refused(3, "", [this](RunRequest& r) { r.settings.train.data = folder_.path("none"); });
}

}  // namespace
}  // namespace aot
