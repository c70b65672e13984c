// SPDX-License-Identifier: Apache-2.0
// What a run trains: a model on data. Loop, checkpoints and metrics know no other side of either. A task is one file, <name>_task.cpp, and
// a line in tasks.def (docs/train.md).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include "aot/core/atomic.h"
#include "aot/core/parameters.h"
#include "aot/models/summary.h"
#include "aot/train/checkpoint.h"
#include "aot/train/settings.h"
#include "aot/train/trainer.h"

namespace aot {

/// How good a model is on validation data.
struct Evaluation {
  double loss = 0;
  int64_t count = 0;                                 // of what TaskEntry::counted names
  std::vector<std::pair<std::string, double>> more;  // further numbers, e.g. top1
};

class Task {
 public:
  virtual ~Task() = default;

  [[nodiscard]] virtual DataFacts data() const = 0;
  [[nodiscard]] virtual bool has_validation() const = 0;
  /// Of the model that make_model will make.
  [[nodiscard]] virtual ModelSummary summary() const = 0;
  /// Model FLOP of training on one unit (TaskEntry::unit) of the batch at hand.
  [[nodiscard]] virtual double flop_per_unit() const = 0;
  /// Bytes of memory that the batches of a run take, those made ahead included.
  [[nodiscard]] virtual double batch_bytes() const = 0;
  /// A line each about data and model, for people.
  [[nodiscard]] virtual std::string about_data() const = 0;
  [[nodiscard]] virtual std::string about_model() const = 0;

  /// First of all that follows. Weights are drawn from `seed`.
  virtual void make_model(uint64_t seed) = 0;
  /// Takes the weights of another model's checkpoint, by default of one with the same tensors.
  virtual void start_from(const std::string& checkpoint);
  virtual void to(at::Device device) = 0;
  [[nodiscard]] virtual Parameters parameters() const = 0;
  /// The model's files, and what else it is used with.
  virtual void save(AtomicFolder& folder) const = 0;

  /// Once: the batches of steps from `step` on come next, each of accumulate * batch rows, a function of (seed, step).
  virtual void begin(uint64_t seed, int64_t step) = 0;
  virtual void next_batch() = 0;
  /// Mean loss of a pass over a part of the batch.
  [[nodiscard]] virtual at::Tensor loss(const Pass& pass) const = 0;

  /// On the part of the validation data that a run watches, always the same; nothing when a signal asks to stop meanwhile.
  [[nodiscard]] virtual std::optional<Evaluation> watch() const = 0;
  /// On all of it.
  [[nodiscard]] virtual std::optional<Evaluation> evaluate() const = 0;
  /// Text that the model makes, where it can.
  [[nodiscard]] virtual std::string sample(uint64_t /*seed*/) const { return ""; }
};

using TaskPtr = std::unique_ptr<Task>;

struct TaskEntry {
  std::string name;
  std::string unit;                                         // of progress: "tokens", "images"
  std::string counted;                                      // of evaluations: "windows", "images"
  void (*describe)(Fields& fields, RunSettings& settings);  // settings that only this task has
  int64_t (*units_per_row)(const RunSettings& settings);
  /// Sets the model's settings to those of a checkpoint.
  void (*set_model)(Fields& fields, const std::string& checkpoint);
  /// Opens and checks the data, and fills in the settings that it decides.
  TaskPtr (*open)(RunSettings& settings);
};

/// In the order of tasks.def.
const std::vector<TaskEntry>& tasks();
/// Throws UsageError naming the known ones.
const TaskEntry& task_named(std::string_view name);

}  // namespace aot
