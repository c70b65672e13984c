// SPDX-License-Identifier: Apache-2.0
// Runs of the task `icl` inside one process.
#include <filesystem>

#include <gtest/gtest.h>

#include "aot/eval/regression.h"
#include "aot/io/manifest.h"
#include "aot/models/checkpoint.h"
#include "aot/train/run.h"
#include "tests/support/files.h"

namespace aot {
namespace {

class IclRuns : public testing::Test {
 protected:
  [[nodiscard]] RunRequest request(const std::string& name) const {
    RunRequest out;
    out.folder = folder_.path(name);
    out.settings.icl = {.model = {.mixer = "mhsa", .width = 32, .layers = 2, .dims = 3, .max_points = 7},
                        .curriculum = {.points = 7, .every = 5, .first_dims = 1, .first_points = 3},
                        .eval_prompts = 96};
    TrainOptions& train = out.settings.train;
    train.task = "icl";
    train.steps = 14;
    train.batch = 8;
    train.accumulate = 2;
    train.schedule = {.lr = 3e-3, .warmup = 2};
    train.seed = 5;
    train.log_every = 1;
    train.eval_every = 7;
    train.save_every = 4;
    return out;
  }

  [[nodiscard]] std::string digest(const std::string& run, int64_t step, const std::string& file) const {
    for (const ManifestFile& entry : read_manifest(folder_.path(run + "/checkpoints/" + checkpoint_name(step))).files)
      if (entry.name == file) return entry.sha256;
    ADD_FAILURE() << run << " has no " << file;
    return "";
  }

  TestFolder folder_;
};

TEST_F(IclRuns, LearnBetterThanSayingZero) {
  RunRequest longer = request("run");
  longer.settings.train.steps = 400;
  longer.settings.train.log_every = 400;
  longer.settings.train.eval_every = longer.settings.train.save_every = 0;
  longer.settings.icl.model.dims = 1;
  longer.settings.icl.curriculum.every = 0;
  const RunSummary summary = train(std::move(longer));
  ASSERT_TRUE(summary.finished && summary.val);
  EXPECT_EQ(summary.units, 400 * 16);
  EXPECT_EQ(summary.val->count, 96);
  EXPECT_LT(summary.val->loss, 0.95);  // saying 0 has 1
  EXPECT_EQ(summary_json(summary)["prompts"], 400 * 16);
  const auto model = load_regression_model(find_checkpoint(folder_.path("run")));
  EXPECT_EQ(model->options().dims, 1);
}

TEST_F(IclRuns, GoOnBitForBitWhilePromptsGrow) {
  train(request("whole"));
  RunRequest first = request("halves");
  first.settings.train.stop_after = 6;  // prompts grew at 5, and will at 10
  EXPECT_FALSE(train(std::move(first)).finished);
  RunRequest second = reopen_run(folder_.path("halves"));
  second.settings = request("halves").settings;
  EXPECT_TRUE(train(std::move(second)).finished);
  for (const char* file : {"model.safetensors", "optimizer.safetensors"}) EXPECT_EQ(digest("halves", 14, file), digest("whole", 14, file));
}

TEST_F(IclRuns, RefuseWhatCannotBe) {
  const auto refused = [this](const std::string& words, const std::function<void(RunRequest&)>& change, int code = 2) {
    RunRequest changed = request("refused");
    change(changed);
    expect_error(code, words, [&] { train(std::move(changed)); });
    EXPECT_FALSE(std::filesystem::exists(folder_.path("refused")));
  };
  refused("draws its prompts itself", [](RunRequest& r) { r.settings.train.data = "somewhere"; });
  refused("exceed the 7 of the model", [](RunRequest& r) { r.settings.icl.curriculum.points = 8; });
  refused(
      "of it for batches", [](RunRequest& r) { r.settings.train.accumulate = int64_t{1} << 40; }, 4);
  refused("", [](RunRequest& r) { r.settings.icl.problem = {.problem = Problem::sparse_linear, .sparsity = 4}; });
}

}  // namespace
}  // namespace aot
