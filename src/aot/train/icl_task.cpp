// SPDX-License-Identifier: Apache-2.0
// Functions learnt in context, from prompts that are drawn on the way.
#include <algorithm>

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include "aot/core/random.h"
#include "aot/data/regression.h"
#include "aot/eval/regression.h"
#include "aot/io/error.h"
#include "aot/models/checkpoint.h"
#include "aot/models/regression.h"
#include "aot/train/model_fields.h"
#include "aot/train/task.h"

namespace aot {
namespace {

/// Of the prompts that a run is validated on: the same for every run of a problem, so that their losses compare, and none of a training.
constexpr uint64_t kValidation = 0x69636c;  // "icl"

class IclTask final : public Task {
 public:
  explicit IclTask(RunSettings& settings) : train_(settings.train), settings_(settings.icl) {
    if (!train_.data.empty()) throw UsageError("the task icl draws its prompts itself", "leave out --data");
    settings_.model = settings.icl.model = resolved(settings_.model);
    const RegressionOptions& model = settings_.model;
    check(settings_.problem, model.dims);
    if (settings_.curriculum.points > model.max_points)
      throw UsageError(str("prompts of ", settings_.curriculum.points, " points exceed the ", model.max_points, " of the model"),
                       "lower --points or raise --max-points");
  }

  [[nodiscard]] DataFacts data() const override { return {}; }
  [[nodiscard]] bool has_validation() const override { return true; }
  [[nodiscard]] ModelSummary summary() const override {
    return summarize(RegressionModel::without_storage(settings_.model), train_.batch, settings_.curriculum.points);
  }
  [[nodiscard]] double flop_per_unit() const override {
    const int64_t points = size_at(settings_.curriculum, settings_.model.dims, std::max<int64_t>(step_ - 1, 0)).points;
    return summarize(RegressionModel::without_storage(settings_.model), train_.batch, points).flop_per_token *
           static_cast<double>(2 * points);
  }
  [[nodiscard]] double batch_bytes() const override {
    const auto prompts = static_cast<double>(train_.batch * train_.accumulate), points = static_cast<double>(settings_.curriculum.points);
    return sizeof(float) * prompts * points * static_cast<double>(settings_.model.dims + 1);
  }

  [[nodiscard]] std::string about_data() const override {
    const ProblemOptions& o = settings_.problem;
    return fmt::format("{} functions of {} numbers, {} points a prompt, drawn on the way",
                       o.problem == Problem::linear ? "linear" : fmt::format("{}-sparse linear", o.sparsity), settings_.model.dims,
                       settings_.curriculum.points);
  }
  [[nodiscard]] std::string about_model() const override {
    const RegressionOptions& o = settings_.model;
    return fmt::format("{}, {} layers, width {}, {} heads of {}, at most {} points", o.mixer, o.layers, o.width, o.heads, o.head_dim,
                       o.max_points);
  }

  void make_model(uint64_t seed) override { model_.emplace(settings_.model, seed); }
  void to(at::Device device) override {
    device_ = device;
    model_->to(device, at::kFloat);
  }
  [[nodiscard]] Parameters parameters() const override { return model_->parameters(); }
  void save(AtomicFolder& folder) const override { save_model(folder, *model_); }

  void begin(uint64_t seed, int64_t step) override {
    seed_ = derive_seed(seed, "prompts");
    step_ = step;
  }
  void next_batch() override {
    const int64_t rows = train_.batch * train_.accumulate;
    const PromptSize size = size_at(settings_.curriculum, settings_.model.dims, step_);
    const at::Tensor x = at::empty({rows, size.points, size.dims}, at::kFloat), y = at::empty({rows, size.points}, at::kFloat);
    draw_prompts(settings_.problem, size, seed_, static_cast<uint64_t>(step_ * rows), rows, x.mutable_data_ptr<float>(),
                 y.mutable_data_ptr<float>());
    x_ = x.to(device_);
    y_ = y.to(device_);
    ++step_;
  }
  [[nodiscard]] at::Tensor loss(const Pass& pass) const override {
    return model_->loss(x_.narrow(0, pass.first, pass.rows), y_.narrow(0, pass.first, pass.rows),
                        {.training = true, .dropout_seed = pass.dropout_seed, .recompute = pass.recompute});
  }

  [[nodiscard]] std::optional<Evaluation> watch() const override { return evaluate(); }
  [[nodiscard]] std::optional<Evaluation> evaluate() const override {
    const std::optional<double> loss =
        mean_squared_error(*model_, settings_.problem, settings_.curriculum.points, kValidation, settings_.eval_prompts, train_.batch);
    if (!loss) return std::nullopt;
    return Evaluation{.loss = *loss, .count = settings_.eval_prompts, .more = {}};
  }

 private:
  const TrainOptions& train_;
  IclSettings settings_;
  std::optional<RegressionModel> model_;
  at::Device device_ = at::kCPU;
  uint64_t seed_ = 0;
  int64_t step_ = 0;  // whose prompts come next
  at::Tensor x_, y_;  // of a batch
};

void describe_task(Fields& fields, RunSettings& settings) {
  IclSettings& icl = settings.icl;
  describe(fields, icl.model);
  fields.heading("Prompts");
  describe(fields, icl.problem);
  describe(fields, icl.curriculum);
  fields.add("eval-prompts", icl.eval_prompts, "prompts of evaluations, always the same").min(1).max(1e9);
}

}  // namespace

TaskEntry icl_task() {
  return {.name = "icl",
          .unit = "prompts",
          .counted = "prompts",
          .describe = describe_task,
          .units_per_row = [](const RunSettings&) { return int64_t{1}; },
          .set_model = [](Fields& fields,
                          const std::string& checkpoint) { set_model_fields(fields, read_regression_options(checkpoint), checkpoint); },
          .open = [](RunSettings& settings) -> TaskPtr { return std::make_unique<IclTask>(settings); }};
}

}  // namespace aot
