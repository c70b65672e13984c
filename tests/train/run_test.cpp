// SPDX-License-Identifier: Apache-2.0
// Whole runs inside one process. What signals and kills do is tested from outside, in tests/apps/train_test.py.
#include "aot/train/run.h"

#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "aot/core/random.h"
#include "aot/core/signals.h"
#include "aot/eval/text.h"
#include "aot/io/manifest.h"
#include "aot/kernels/cpu/path.h"
#include "aot/models/checkpoint.h"
#include "aot/train/evaluate.h"
#include "tests/support/files.h"
#include "tests/train/tiny.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

class Runs : public testing::Test {
 protected:
  Runs() {
    fs::create_directory(folder_.path("data"));
    write_tokens("train.bin", 3000);
    write_tokens("val.bin", 400);
  }

  /// 0 1 2 ... with a random token now and then.
  void write_tokens(const std::string& name, int64_t count) const {
    std::ofstream file(folder_.path("data/" + name), std::ios::binary);
    Random random(1);
    for (int64_t i = 0; i < count; ++i) {
      const uint64_t token = random.below(8) == 0 ? random.below(kTinyVocab) : static_cast<uint64_t>(i % kTinyVocab);
      file.put(static_cast<char>(token)).put('\0');
    }
  }

  [[nodiscard]] RunRequest request(const std::string& name) const {
    RunRequest out;
    out.folder = folder_.path(name);
    out.settings.language = tiny_model();
    TrainOptions& train = out.settings.train;
    train.data = folder_.path("data");
    train.steps = 20;
    train.batch = 4;
    train.schedule.warmup = 2;
    train.seed = 5;
    train.log_every = 1;
    train.eval_every = 10;
    train.eval_windows = 5;
    train.save_every = 5;
    return out;
  }

  /// Trains "run" until a signal comes while the row of the metrics that begins so is written.
  [[nodiscard]] RunSummary stopped_at(const std::string& row) const {
    RunRequest stopped = request("run");
    stopped.on_row = [&row](const std::string& line) {
      if (line.rfind(row, 0) == 0) std::raise(SIGINT);
    };
    catch_stop_signals();
    RunSummary out = train(std::move(stopped));
    forget_stop_signal();
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    return out;
  }

  [[nodiscard]] std::vector<std::string> checkpoints(const std::string& run) const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder_.path(run + "/checkpoints"))) out.push_back(entry.path().filename().string());
    std::sort(out.begin(), out.end());
    return out;
  }
  [[nodiscard]] std::string digest(const std::string& run, int64_t step) const {
    std::string out;
    for (const ManifestFile& file : read_manifest(folder_.path(run + "/checkpoints/" + checkpoint_name(step))).files)
      if (file.name != "state.json") out += file.sha256 + " ";
    return out;
  }

  TestFolder folder_;
};

/// While it lives, files of this process cannot grow beyond `bytes`: writing fails as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_ = {};
  void (*handler_)(int);
};

TEST_F(Runs, EndWithResultsAndTheCheckpointsAskedFor) {
  const RunSummary summary = train(request("run"));
  EXPECT_TRUE(summary.finished);
  EXPECT_EQ(summary.step, 20);
  EXPECT_EQ(summary.units, 20 * 4 * kTinyContext);
  ASSERT_TRUE(summary.val && summary.best && summary.loss);
  EXPECT_EQ(summary.val->count, (400 - 1 + kTinyContext - 1) / kTinyContext);
  const TextDataset data = open_text_dataset(folder_.path("data"), "", kTinyVocab);
  EXPECT_EQ(summary.val->loss, score_text(*load_model(summary.checkpoint), source_of(*data.val), nullptr)->loss);
  EXPECT_LT(summary.val->loss, 2.39);  // log 11, where an untrained model stands
  EXPECT_EQ(summary.best->step, 20);
  EXPECT_EQ(checkpoints("run"), (std::vector<std::string>{"best", "last", checkpoint_name(15), checkpoint_name(20)}));
  EXPECT_TRUE(fs::exists(folder_.path("run/summary.json")));
  EXPECT_EQ(folder_.read("run/config.toml"), toml_of([&] {
              RunSettings settings = request("run").settings;
              settings.language = resolved(settings.language);
              return settings;
            }()));
}

TEST_F(Runs, AFullDiskCostsACheckpointButNotTheRun) {
  train(request("undisturbed"));
  RunRequest disturbed = request("run");
  std::unique_ptr<FileSizeLimit> limit;
  std::vector<std::string> seen;
  disturbed.on_row = [&](const std::string& line) {
    if (line.find("{\"step\":7,") == 0) limit = std::make_unique<FileSizeLimit>(9000);  // rows fit, weights do not
    if (line.find("{\"step\":12,") == 0) {
      seen = checkpoints("run");
      limit.reset();
    }
  };
  testing::internal::CaptureStderr();
  const RunSummary summary = train(std::move(disturbed));
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("step 10 was not saved, training goes on"), std::string::npos) << said;
  EXPECT_EQ(seen, (std::vector<std::string>{"last", checkpoint_name(0), checkpoint_name(5)}));
  EXPECT_EQ(summary.step, 20);
  EXPECT_EQ(digest("run", 20), digest("undisturbed", 20));
}

TEST_F(Runs, TheBestIsOneThatWasSaved) {
  RunRequest disturbed = request("run");
  disturbed.settings.train.eval_every = disturbed.settings.train.save_every = 2;
  std::unique_ptr<FileSizeLimit> limit;
  int64_t best_after_failure = -1;
  disturbed.on_row = [&](const std::string& line) {
    if (line.find("{\"step\":3,") == 0) limit = std::make_unique<FileSizeLimit>(9000);  // step 4 evaluates best, and cannot be saved
    if (line.find("{\"step\":5,") == 0) limit.reset();
    if (line.find("{\"step\":7,") == 0) best_after_failure = read_state(folder_.path("run/checkpoints/" + checkpoint_name(6))).best->step;
  };
  train(std::move(disturbed));
  ASSERT_GE(best_after_failure, 0);
  EXPECT_NE(best_after_failure, 4);
  EXPECT_TRUE(fs::exists(folder_.path("run/checkpoints/best")));
}

TEST_F(Runs, AnEvaluationThatASignalPutOffIsMadeUp) {
  const auto rows_of = [this](const std::string& run) {  // without times and memory
    std::vector<std::string> out;
    std::istringstream lines(folder_.read(run + "/metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) out.push_back(line.substr(0, line.find("\"seconds\"")));
    return out;
  };
  train(request("whole"));
  const RunSummary half = stopped_at("{\"step\":10,\"loss\"");  // between the step and its evaluation
  EXPECT_EQ(half.step, 10);
  EXPECT_FALSE(half.best);
  RunRequest resumed = reopen_run(folder_.path("run"));
  resumed.settings = request("run").settings;
  train(std::move(resumed));
  EXPECT_EQ(rows_of("run"), rows_of("whole"));
  EXPECT_EQ(digest("run", 20), digest("whole", 20));
  EXPECT_EQ(checkpoints("run"), checkpoints("whole"));
}

/// Losses over 5 and over 12 windows do not compare: the best one must not stay because its windows were easier.
TEST_F(Runs, ABestLossOverOtherWindowsDoesNotCompare) {
  const auto resumed_with = [this](int64_t windows, double best) {
    RunRequest half = request("run");
    half.settings.train.stop_after = 10;
    train(std::move(half));
    RunRequest rest = reopen_run(folder_.path("run"));
    rest.resume->state.best->loss = best;  // lower than any later one
    rest.settings = request("run").settings;
    rest.settings.train.eval_windows = windows;
    const RunSummary out = train(std::move(rest));
    fs::remove_all(folder_.path("run"));
    return out.best.value();
  };
  const BestLoss kept = resumed_with(5, 0.125), anew = resumed_with(12, 0.125);
  EXPECT_EQ(kept.step, 10);
  EXPECT_EQ(kept.loss, 0.125);
  EXPECT_EQ(anew.step, 20);
  EXPECT_GT(anew.loss, 0.125);
  EXPECT_EQ(anew.count, 12);
}

TEST_F(Runs, StoppedInTheirLastValidationAreFinishedByAResume) {
  const RunSummary half = stopped_at("{\"step\":20,\"val_loss\"");
  EXPECT_EQ(half.step, 20);
  EXPECT_FALSE(half.finished);
  EXPECT_FALSE(half.val);
  EXPECT_FALSE(fs::exists(folder_.path("run/summary.json")));
  RunRequest resumed = reopen_run(folder_.path("run"));
  resumed.settings = request("run").settings;
  const RunSummary whole = train(std::move(resumed));
  EXPECT_TRUE(whole.finished && whole.val);
  EXPECT_TRUE(fs::exists(folder_.path("run/summary.json")));
}

TEST_F(Runs, ThatTimeEndedStayEnded) {
  RunRequest short_run = request("run");
  short_run.settings.train.max_minutes = 1e-9;
  EXPECT_EQ(train(std::move(short_run)).step, 1);
  RunRequest resumed = reopen_run(folder_.path("run"));
  resumed.settings = request("run").settings;
  resumed.settings.train.max_minutes = 1e-9;
  const RunSummary summary = train(std::move(resumed));
  EXPECT_TRUE(summary.finished);
  EXPECT_EQ(summary.step, 1);
}

TEST_F(Runs, SayOnceThatThisProcessorLacksThePathOfTheRun) {
  RunRequest first = request("run");
  first.settings.train.stop_after = 10;
  train(std::move(first));
  RunRequest resumed = reopen_run(folder_.path("run"));
  ASSERT_TRUE(resumed.resume.has_value());
  resumed.settings = request("run").settings;
  resumed.resume->state.machine.path = "elsewhere";
  testing::internal::CaptureStderr();
  EXPECT_TRUE(train(std::move(resumed)).finished);
  const std::string said = testing::internal::GetCapturedStderr();
  const size_t warning = said.find("warning: the run was made with the path elsewhere, now it is " + std::string(name_of(cpu_path())));
  EXPECT_NE(warning, std::string::npos) << said;
  EXPECT_EQ(said.find("warning", warning + 1), std::string::npos) << said;
}

TEST_F(Runs, CannotEndBeforeWhatTheyHaveDone) {
  train(request("run"));
  RunRequest resumed = reopen_run(folder_.path("run"));
  resumed.settings = request("run").settings;
  resumed.settings.train.steps = 10;
  expect_error(2, "--steps 10 is below the 20 steps", [&] { train(std::move(resumed)); });
}

TEST_F(Runs, AValidationLossThatIsNotFiniteStopsTheRunUnsaved) {
  RunRequest exploding = request("run");
  exploding.settings.train.schedule = {.lr = 1e30, .min_lr = 0, .warmup = 0};
  exploding.settings.train.eval_every = exploding.settings.train.save_every = 1;
  expect_error(1, "non-finite: step 1: validation loss", [&] { train(std::move(exploding)); });
  EXPECT_EQ(checkpoints("run"), (std::vector<std::string>{"last", checkpoint_name(0)}));
}

TEST_F(Runs, AFullDiskStopsARunThatAskedForIt) {
  RunRequest disturbed = request("run");
  disturbed.settings.train.on_save_error = OnSaveError::stop;
  std::unique_ptr<FileSizeLimit> limit;
  disturbed.on_row = [&](const std::string& line) {
    if (line.find("{\"step\":7,") == 0) limit = std::make_unique<FileSizeLimit>(9000);
  };
  const std::string line = error_of([&] { train(std::move(disturbed)); });
  limit.reset();
  EXPECT_EQ(line.substr(0, 2), "4 ") << line;
  EXPECT_TRUE(find_resume_point(folder_.path("run")));
}

TEST_F(Runs, DivergenceNamesTheLastGoodCheckpoint) {
  RunRequest diverging = request("run");
  diverging.settings.train.schedule = {.lr = 1e38, .min_lr = 0, .warmup = 0};
  diverging.settings.train.clip = 0;
  expect_error(1, "last good checkpoint " + folder_.path("run/checkpoints/") + checkpoint_name(0), [&] { train(std::move(diverging)); });
  EXPECT_EQ(checkpoints("run"), (std::vector<std::string>{"last", checkpoint_name(0)}));
}

TEST_F(Runs, ThatCannotStartLeaveNothing) {
  const auto refused = [&](int code, const std::string& words, const std::function<void(RunRequest&)>& change) {
    RunRequest bad = request("run");
    change(bad);
    expect_error(code, words, [&] { train(std::move(bad)); });
    EXPECT_FALSE(fs::exists(folder_.path("run"))) << words;
  };
  refused(2, "--data", [](RunRequest& r) { r.settings.train.data.clear(); });
  refused(3, "no such file", [](RunRequest& r) { r.settings.train.data += "-absent"; });
  refused(3, "has 400 tokens, need 1001", [](RunRequest& r) { r.settings.language.context = 1000; });
  refused(2, "not divisible", [](RunRequest& r) { r.settings.language.heads = 5; });
  refused(4, "of memory", [](RunRequest& r) {
    r.settings.language.width = 1 << 18;
    r.settings.language.heads = 1 << 17;
    r.settings.language.head_dim = 2;
  });
  refused(4, "and activations", [](RunRequest& r) {  // small weights, and more activations than any machine holds
    r.settings.language.width = 4096;
    r.settings.train.batch = 1 << 20;
  });
  fs::create_directory(folder_.path("used"));
  folder_.write("used/file", "x");
  expect_error(2, "not empty", [&] { train(request("used")); });
}

TEST_F(Runs, KilledBeforeTheirFirstCheckpointStartAgain) {
  train(request("whole"));
  fs::create_directory(folder_.path("run"));
  fs::copy_file(folder_.path("whole/config.toml"), folder_.path("run/config.toml"));
  RunRequest again = reopen_run(folder_.path("run"));
  EXPECT_FALSE(again.resume);
  again.settings = request("run").settings;
  train(std::move(again));
  EXPECT_EQ(digest("run", 20), digest("whole", 20));
}

TEST_F(Runs, ToResumeAreFoundByNameOrByTime) {
  EXPECT_EQ(find_run("some/run", ""), "some/run");
  EXPECT_EQ(find_run("auto", folder_.path("absent")), "");
  EXPECT_EQ(find_run("auto", folder_.path("data")), folder_.path("data"));
  expect_error(2, "leave out --out", [] { static_cast<void>(find_run("a", "b")); });
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  expect_error(3, "holds no run", [] { static_cast<void>(find_run("auto", "")); });
  const auto now = fs::file_time_type::clock::now();
  for (const char* name : {"a", "b", "c"}) fs::create_directories(fs::path("runs") / name / "checkpoints");
  for (const auto& [name, age] : {std::pair("a", 3), std::pair("b", 1), std::pair("c", 2)})
    fs::last_write_time(fs::path("runs") / name / "checkpoints", now - std::chrono::hours(age));
  EXPECT_EQ(find_run("auto", ""), "runs/b");
  fs::current_path(before);
  expect_error(3, "no such file", [&] { static_cast<void>(reopen_run(folder_.path("absent"))); });
  expect_error(3, "holds no run", [&] { static_cast<void>(reopen_run(folder_.path("data"))); });
}

TEST_F(Runs, WithAnAverageScoreAndSaveItAndResumeToTheBit) {
  const auto averaging = [this](const std::string& name) {
    RunRequest out = request(name);
    TrainOptions& options = out.settings.train;
    options.batch = 2;
    options.accumulate = 2;
    options.optimizer = {.rule = UpdateRule::lion, .layer_decay = 0.8, .ema = 0.9};
    options.schedule.lr = 1e-3;
    options.schedule.min_lr = 1e-4;
    return out;
  };
  const RunSummary summary = train(averaging("undisturbed"));
  const TextDataset data = open_text_dataset(folder_.path("data"), "", kTinyVocab);
  const std::unique_ptr<LanguageModel> saved = load_model(summary.checkpoint);
  EXPECT_EQ(summary.val->loss, score_text(*saved, source_of(*data.val), nullptr)->loss);
  EXPECT_EQ(summary.best->loss, mean_loss(*load_model(find_checkpoint(summary.folder)), *data.val, 5, 2).loss);
  Optimizer optimizer(saved->parameters(), averaging("").settings.train.optimizer);
  load_optimizer(summary.checkpoint, optimizer, 20);  // the weights that the run itself went on with
  EXPECT_NE(summary.val->loss, score_text(*saved, source_of(*data.val), nullptr)->loss);

  RunRequest stopped = averaging("run");
  stopped.settings.train.stop_after = 7;
  EXPECT_FALSE(train(std::move(stopped)).finished);
  RunRequest resumed = reopen_run(folder_.path("run"));
  resumed.settings = averaging("run").settings;
  EXPECT_EQ(train(std::move(resumed)).val->loss, summary.val->loss);
  EXPECT_EQ(digest("run", 20), digest("undisturbed", 20));
}

}  // namespace
}  // namespace aot
