// SPDX-License-Identifier: Apache-2.0
#include "aot/train/checkpoint.h"

#include <filesystem>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "aot/core/tensor_file.h"
#include "aot/io/file.h"
#include "aot/io/json.h"
#include "aot/io/manifest.h"
#include "aot/io/sha256.h"
#include "aot/models/checkpoint.h"
#include "aot/train/trainer.h"
#include "tests/support/files.h"
#include "tests/train/tiny.h"

namespace aot {
namespace {

namespace fs = std::filesystem;

TrainState state_at(int64_t step) {
  return {.run = "0123456789abcdef",
          .step = step,
          .horizon = 100,
          .units = 64 * step,
          .seconds = 0.25,
          .next_data = step,
          .evaluated = step,
          .best = BestLoss{3, 2.5, 40},
          .logs = {.jsonl = 123, .csv = 45},
          .data = {"aa", "bb", "cc"},
          .machine = {"a processor", "AVX2", "avx2", 2},
          .settings = {{"lr", 1e-3, 0}, {"steps", int64_t{100}, 0}, {"mixer", std::string("mssa"), 0}, {"rotary", true, 0}}};
}

/// A run folder with a trained tiny model whose checkpoints a test may break.
class Checkpoints : public testing::Test {
 protected:
  Checkpoints() : model_(tiny_model(), 1), optimizer_(model_.parameters(), {}) { train(); }

  void train() {
    for (const Parameter& parameter : model_.parameters()) {
      parameter.value.requires_grad_(true);
      parameter.value.mutable_grad().copy_(parameter.value.detach());
    }
    optimizer_.update(1e-2);
  }
  static std::function<void(AtomicFolder&)> files_of(const LanguageModel& model) {
    return [&model](AtomicFolder& folder) {
      save_model(folder, model);
      folder.add_text("tokenizer.json", "{}");
    };
  }
  void save(int64_t step) {
    optimizer_.set_steps(step);
    save_checkpoint(run_.path(), files_of(model_), optimizer_, state_at(step));
  }
  [[nodiscard]] std::string path_of(int64_t step) const { return run_.path("checkpoints/" + checkpoint_name(step)); }

  /// Makes the manifest fit again after a file was changed: what a hostile writer would do.
  void vouch_again(int64_t step) const {
    Manifest manifest = read_manifest(path_of(step));
    for (ManifestFile& file : manifest.files) {
      const std::string text = read_file(path_of(step) + "/" + file.name, 1 << 24);
      file.bytes = text.size();
      file.sha256 = sha256_hex(text);
    }
    run_.write("checkpoints/" + checkpoint_name(step) + "/manifest.json", manifest_text(manifest));
  }
  [[nodiscard]] std::string read(int64_t step, const std::string& file) const {
    return run_.read("checkpoints/" + checkpoint_name(step) + "/" + file);
  }
  void write(int64_t step, const std::string& file, const std::string& text) const {
    run_.write("checkpoints/" + checkpoint_name(step) + "/" + file, text);
  }

  TestFolder run_;
  LanguageModel model_;
  Optimizer optimizer_;
};

TEST_F(Checkpoints, GiveBackEveryBit) {
  save(7);
  const std::optional<ResumePoint> point = find_resume_point(run_.path());
  ASSERT_TRUE(point);
  EXPECT_EQ(point->checkpoint, path_of(7));
  EXPECT_TRUE(point->damaged.empty());
  EXPECT_EQ(state_text(point->state), state_text(state_at(7)));

  const std::unique_ptr<LanguageModel> loaded = load_model(point->checkpoint);
  Optimizer optimizer(loaded->parameters(), {});
  load_optimizer(point->checkpoint, optimizer, 7);
  EXPECT_EQ(optimizer.steps(), 7);
  const Parameters weights = model_.parameters(), loaded_weights = loaded->parameters();
  for (size_t i = 0; i < weights.size(); ++i) EXPECT_TRUE(loaded_weights[i].value.equal(weights[i].value)) << weights[i].name;
  const Parameters moments = optimizer_.state(), loaded_moments = optimizer.state();
  for (size_t i = 0; i < moments.size(); ++i) EXPECT_TRUE(loaded_moments[i].value.equal(moments[i].value)) << moments[i].name;
}

/// What a checkpoint holds of each kind of optimizer is all that going on to the bit needs.
TEST_F(Checkpoints, LetEveryOptimizerGoOnToTheBit) {
  for (const UpdateRule rule : {UpdateRule::adamw, UpdateRule::lion})
    for (const double ema : {0.0, 0.6}) {
      const OptimizerOptions options{.rule = rule, .layer_decay = 0.7, .ema = ema};
      const auto step = [](const Parameters& weights, Optimizer& optimizer) {
        for (const Parameter& weight : weights) weight.value.mutable_grad().copy_(weight.value.detach()).add_(0.01);
        optimizer.update(1e-2, optimizer.gradient_norm());
      };
      const LanguageModel straight(tiny_model(), 2), stopped(tiny_model(), 2);
      Optimizer straight_optimizer(straight.parameters(), options), stopped_optimizer(stopped.parameters(), options);
      for (int64_t done = 0; done < 3; ++done) step(stopped.parameters(), stopped_optimizer);
      fs::remove_all(path_of(3));
      save_checkpoint(run_.path(), files_of(stopped), stopped_optimizer, state_at(3));

      const std::unique_ptr<LanguageModel> loaded = load_model(path_of(3));
      const Parameters saved = loaded->parameters(), raw = stopped.parameters();
      for (size_t i = 0; i < raw.size(); ++i) EXPECT_EQ(saved[i].value.equal(raw[i].value), ema == 0) << raw[i].name;
      Optimizer optimizer(saved, options);
      load_optimizer(path_of(3), optimizer, 3);
      for (size_t i = 0; i < raw.size(); ++i) EXPECT_TRUE(saved[i].value.equal(raw[i].value)) << raw[i].name;

      for (int64_t done = 0; done < 6; ++done) step(straight.parameters(), straight_optimizer);
      for (int64_t done = 3; done < 6; ++done) step(saved, optimizer);
      const Parameters needed = straight_optimizer.state(), found = optimizer.state();
      for (size_t i = 0; i < needed.size(); ++i) EXPECT_TRUE(found[i].value.equal(needed[i].value)) << needed[i].name;
      const AveragedWeights averaged(optimizer), straight_averaged(straight_optimizer);
      const Parameters weights = straight.parameters();
      for (size_t i = 0; i < weights.size(); ++i) EXPECT_TRUE(saved[i].value.equal(weights[i].value)) << weights[i].name;
    }
}

TEST_F(Checkpoints, OfAnotherOptimizerAreRefused) {
  save(3);
  Optimizer lion(model_.parameters(), {.rule = UpdateRule::lion});
  expect_error(3, "another optimizer (found adamw, need lion)", [&] { load_optimizer(path_of(3), lion, 3); });
  lion.set_steps(4);
  save_checkpoint(run_.path(), files_of(model_), lion, state_at(4));
  Optimizer adamw(model_.parameters(), {});
  expect_error(3, "another optimizer (found lion, need adamw)", [&] { load_optimizer(path_of(4), adamw, 4); });
  Optimizer averaging(model_.parameters(), {.ema = 0.9});
  expect_error(3, "raw': missing tensor", [&] { load_optimizer(path_of(3), averaging, 3); });
}

TEST_F(Checkpoints, OfEqualStatesHaveEqualDigests) {
  save(7);
  const std::string first = read(7, "manifest.json");
  save(7);  // in the place of the first
  EXPECT_EQ(read(7, "manifest.json"), first);
  EXPECT_EQ(fs::read_symlink(run_.path("checkpoints/last")), checkpoint_name(7));
}

TEST_F(Checkpoints, NeverHoldWeightsOrMomentsThatAreNotFinite) {
  save(1);
  const at::Tensor weight = model_.parameters().back().value.detach().flatten()[0];
  const float sound = weight.item<float>();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    weight.fill_(bad);
    expect_error(1, "non-finite: step 2: '" + model_.parameters().back().name + "'", [&] { save(2); });
    weight.fill_(sound);
    const Parameter moment = optimizer_.state().front();
    const at::Tensor number = moment.value.flatten()[0];
    const float before = number.item<float>();
    number.fill_(bad);
    expect_error(1, "non-finite: step 2: '" + moment.name + "'", [&] { save(2); });
    number.fill_(before);
  }
  EXPECT_FALSE(fs::exists(path_of(2)));
  EXPECT_EQ(fs::read_symlink(run_.path("checkpoints/last")), checkpoint_name(1));
}

TEST_F(Checkpoints, DamageMakesTheSearchTakeTheOneBefore) {
  const auto flipped = [this](const std::string& file, size_t from_end) {
    std::string text = read(3, file);
    text[text.size() - from_end] ^= 1;
    write(3, file, text);
  };
  const auto cut = [this](const std::string& file) { write(3, file, read(3, file).substr(0, read(3, file).size() / 2)); };
  const std::vector<std::pair<std::string, std::function<void()>>> damages = {
      {"incomplete checkpoint", [&] { fs::remove(path_of(3) + "/manifest.json"); }},
      {"manifest is", [&] { write(3, "manifest.json", ""); }},
      {"manifest is", [&] { write(3, "manifest.json", std::string(500, '\0')); }},
      {"manifest is", [&] { cut("manifest.json"); }},
      {"manifest is", [&] { flipped("manifest.json", 200); }},
      {"digest mismatch", [&] { flipped("model.safetensors", 4); }},
      {"digest mismatch", [&] { flipped("optimizer.safetensors", 4); }},
      {"digest mismatch", [&] { flipped("state.json", 20); }},
      {"digest mismatch", [&] { flipped("config.json", 20); }},
      {"manifest says", [&] { cut("model.safetensors"); }},
      {"manifest says", [&] { write(3, "optimizer.safetensors", read(3, "optimizer.safetensors") + "x"); }},
      {"missing file", [&] { fs::remove(path_of(3) + "/optimizer.safetensors"); }},
      {"missing file", [&] { fs::remove(path_of(3) + "/tokenizer.json"); }},
      {"digest mismatch", [&] { write(3, "state.json", read(2, "state.json")); }},
      {"bad step",
       [&] {
         fs::remove_all(path_of(3));
         fs::copy(path_of(2), path_of(3));
       }},
      {"of another run",
       [&] {
         std::string text = read(3, "state.json");
         text.replace(text.find("0123456789abcdef"), 16, "fedcba9876543210");
         write(3, "state.json", text);
         vouch_again(3);
       }},
  };
  save(2);
  for (const auto& [words, damage] : damages) {
    fs::remove_all(path_of(3));
    save(3);
    damage();
    testing::internal::CaptureStderr();
    const std::optional<ResumePoint> point = find_resume_point(run_.path());
    const std::string said = testing::internal::GetCapturedStderr();
    ASSERT_TRUE(point) << words;
    EXPECT_EQ(point->state.step, 2) << words;
    EXPECT_EQ(point->damaged.count(checkpoint_name(3)), 1u) << words;
    EXPECT_NE(said.find(checkpoint_name(3)), std::string::npos) << said;
    EXPECT_NE(said.find(words), std::string::npos) << "need: " << words << "\nsaid: " << said;
  }
}

TEST_F(Checkpoints, DamageToATensorIsNamedByTensor) {
  save(3);
  std::string text = read(3, "model.safetensors");
  const SafetensorsFile file(path_of(3) + "/model.safetensors");
  const TensorEntry& entry = file.tensors().back();
  text[entry.offset] ^= 1;
  write(3, "model.safetensors", text);
  expect_error(3, "tensor '" + entry.name + "'", [&] { verify_checkpoint(path_of(3)); });
  expect_error(3, "tensor '" + entry.name + "'", [&] { load_model(path_of(3)); });
}

TEST_F(Checkpoints, NoneWholeIsAnErrorAndNoneAtAllIsNot) {
  EXPECT_FALSE(find_resume_point(run_.path()));
  save(2);
  save(3);
  fs::remove(path_of(2) + "/manifest.json");
  write(3, "state.json", "");
  expect_error(3, "none of its 2 checkpoints is whole", [&] { static_cast<void>(find_resume_point(run_.path())); });
}

TEST_F(Checkpoints, EveryMemberOfTheStateIsNeeded) {
  save(3);
  const Json whole = parse_json(read(3, "state.json"), "state.json");
  const auto expect_named = [&](const Json& without, const std::string& key) {
    write(3, "state.json", dump_json(without));
    expect_error(3, "'" + key + "'", [&] { static_cast<void>(read_state(path_of(3))); });
  };
  int members = 0;
  for (const auto& [key, value] : whole.items()) {
    Json without = whole;
    without.erase(key);
    expect_named(without, key);
    if (!value.is_object() || key == "settings") continue;
    for (const auto& [inner, ignored] : value.items()) {
      without = whole;
      without[key].erase(inner);
      expect_named(without, inner);
      ++members;
    }
  }
  EXPECT_GT(members, 12);
  const std::vector<std::pair<std::string, Json>> wrong = {{"step", -1},  {"step", 1.5},  {"step", "3"},
                                                           {"units", -5}, {"machine", 3}, {"run", 7}};
  for (const auto& [key, value] : wrong) {
    Json changed = whole;
    changed[key] = value;
    expect_named(changed, key);
  }
  Json old = whole;  // made when tokens were all that was counted, and before the kernels' path was written down
  old["format"] = 1;
  old["tokens"] = old["units"];
  old.erase("units");
  old["machine"].erase("path");
  old["best"].erase("count");
  write(3, "state.json", dump_json(old));
  EXPECT_EQ(read_state(path_of(3)).machine.path, "");
  EXPECT_EQ(read_state(path_of(3)).units, 64 * 3);
  EXPECT_TRUE(read_state(path_of(3)).best->compares(12));  // as it did when that run was made
  Json newer = whole;
  newer["format"] = 99;
  write(3, "state.json", dump_json(newer));
  expect_error(3, "newer than", [&] { static_cast<void>(read_state(path_of(3))); });
}

TEST_F(Checkpoints, MomentsAreCheckedOneByOne) {
  const auto load = [this] {
    Optimizer fresh(model_.parameters(), {});
    load_optimizer(path_of(3), fresh, 3);
  };
  const auto write_moments = [this](const Parameters& moments, const std::string& step) {
    fs::remove_all(path_of(3));
    AtomicFolder folder(run_.path("checkpoints"), checkpoint_name(3));
    save_tensors(folder, "optimizer.safetensors", moments, {{"step", step}});
    folder.commit({});
  };
  Parameters moments;
  for (const Parameter& moment : optimizer_.state()) moments.push_back({moment.name, moment.value.clone()});
  write_moments(moments, "3");
  EXPECT_EQ(error_of(load), "nothing");
  write_moments(moments, "4");
  expect_error(3, "bad step", load);

  Parameters changed = moments;
  changed.pop_back();
  write_moments(changed, "3");
  expect_error(3, "'" + moments.back().name + "': missing tensor", load);
  changed = moments;
  changed[0].value = moments[0].value.flatten();
  write_moments(changed, "3");
  expect_error(3, "'" + moments[0].name + "': model needs", load);
  changed = moments;
  changed[1].value = moments[1].value.clone();
  changed[1].value.flatten()[1].fill_(-1);
  write_moments(changed, "3");
  expect_error(3, "'" + moments[1].name + "': negative second moment", load);
  changed[1].value.flatten()[1].fill_(std::numeric_limits<float>::quiet_NaN());
  write_moments(changed, "3");
  expect_error(3, "'" + moments[1].name + "': non-finite value", load);
}

TEST_F(Checkpoints, OldOnesGoButTheNewestWholeAndTheBestStay) {
  for (int64_t step = 1; step <= 7; ++step) save(step);
  remove_old_checkpoints(run_.path(), state_at(6), 2, {checkpoint_name(5)});  // 3 is the best, 5 is damaged, 7 is of a time to come
  std::vector<int64_t> left;
  for (int64_t step = 1; step <= 7; ++step)
    if (fs::exists(path_of(step))) left.push_back(step);
  EXPECT_EQ(left, (std::vector<int64_t>{3, 4, 5, 6, 7}));
}

}  // namespace
}  // namespace aot
