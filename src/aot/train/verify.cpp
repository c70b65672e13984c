// SPDX-License-Identifier: Apache-2.0
#include "aot/train/verify.h"

#include <algorithm>

#include <fmt/format.h>

#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/core/tensor_file.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/sha256.h"
#include "aot/models/checkpoint.h"
#include "aot/train/checkpoint.h"
#include "aot/train/settings.h"
#include "aot/train/task.h"
#include "aot/train/trainer.h"

namespace aot {
namespace {

constexpr uint64_t kLargestLog = 1u << 30;

/// What a row of metrics.jsonl says about a step.
struct RecordedStep {
  int64_t step = 0;
  size_t line = 0;
  double loss = 0, lr = 0, gradient_norm = 0;
};

/// What a run recorded about the steps after `from` up to `to`, in order.
struct Record {
  std::vector<RecordedStep> rows;
  std::vector<ResumePoint> checkpoints;

  [[nodiscard]] int64_t last() const {
    return std::max(rows.empty() ? 0 : rows.back().step, checkpoints.empty() ? 0 : checkpoints.back().state.step);
  }
};

std::vector<RecordedStep> read_rows(const std::string& path, int64_t from, int64_t to) {
  const std::string text = read_file(path, kLargestLog, true);
  std::vector<RecordedStep> out;
  size_t line = 0;
  for (size_t start = 0; start < text.size();) {
    const size_t end = text.find('\n', start);
    if (end == std::string::npos) break;  // a row that is being written, or was cut
    const std::string place = str(path, ": line ", ++line);
    const Json row = parse_json(std::string_view(text).substr(start, end - start), place);
    start = end + 1;
    if (!row.is_object() || !row.contains("loss")) continue;  // an evaluation or a sample
    const int64_t step = json_integer(row, "step", place, 0, INT64_MAX);
    if (step > from && step <= to)
      out.push_back({step, line, json_number(row, "loss", place), json_number(row, "lr", place), json_number(row, "grad_norm", place)});
  }
  std::stable_sort(out.begin(), out.end(), [](const RecordedStep& a, const RecordedStep& b) { return a.step < b.step; });
  return out;
}

Record read_record(const VerifyRequest& request, const std::string& run_id) {
  const int64_t to = request.steps > INT64_MAX - request.from ? INT64_MAX : request.from + request.steps;
  Record out{.rows = read_rows(request.run + "/metrics.jsonl", request.from, to), .checkpoints = {}};
  for (const int64_t step : checkpoint_steps(request.run)) {
    if (step <= request.from || step > to) continue;
    out.checkpoints.push_back(read_whole_checkpoint(request.run, step));
    if (out.checkpoints.back().state.run != run_id)
      throw FileError(request.run, "", str("its checkpoints of steps ", request.from, " and ", step, " are of different runs"));
  }
  if (out.rows.empty() && out.checkpoints.empty())
    throw UsageError(str("the run recorded nothing about the steps from ", request.from, " to ", to),
                     "choose another --from, or more --steps");
  return out;
}

/// The settings that a checkpoint keeps.
RunSettings settings_of(const TrainState& state, const std::string& place) {
  RunSettings settings;
  if (const auto task = value_of<std::string>(state.settings, "task")) settings.train.task = *task;
  Fields fields;
  describe(fields, settings);
  describe_seed(fields, settings);
  fields.set_from(state.settings, Origin::preset, place);
  if (settings.train.seed < 0) throw FileError(place, "key 'settings.seed'", "need 0 or more");
  return settings;
}

std::string digest_of(const at::Tensor& value) {
  const at::Tensor here = value.detach().cpu().contiguous();
  return sha256_hex({static_cast<const char*>(here.const_data_ptr()), here.nbytes()});
}

/// Compares rows and checkpoints of the record with a training that has just done their step.
class Comparison {
 public:
  Comparison(const Record& record, Verification& out) : record_(record), out_(out) {}

  void row_of(int64_t step, const StepResult& repeated) {
    for (; row_ < record_.rows.size() && record_.rows[row_].step == step; ++row_) {
      const RecordedStep& row = record_.rows[row_];
      const auto compare = [&](const char* what, double recorded, double found) {
        if (recorded != found) out_.departures.push_back({step, str("metrics.jsonl, line ", row.line, ": ", what), recorded, found});
      };
      compare("loss", row.loss, repeated.loss);
      compare("lr", row.lr, repeated.lr);
      compare("grad_norm", row.gradient_norm, repeated.gradient_norm);
      ++out_.rows;
    }
  }

  void checkpoint_of(int64_t step, Optimizer& optimizer) {
    if (checkpoint_ == record_.checkpoints.size() || record_.checkpoints[checkpoint_].state.step != step) return;
    const std::string folder = record_.checkpoints[checkpoint_++].checkpoint + "/";
    const AveragedWeights averaged(optimizer);  // what a checkpoint holds as its model
    out_.checkpoints.push_back({.step = step});
    tensors_of(folder, "model.safetensors", optimizer.parameters());
    tensors_of(folder, "optimizer.safetensors", optimizer.state());
  }

 private:
  void tensors_of(const std::string& folder, const std::string& name, const Parameters& repeated) {
    const SafetensorsFile file(folder + name);
    check_tensors(file, repeated);
    ComparedCheckpoint& counts = out_.checkpoints.back();
    std::string bytes;
    for (const Parameter& tensor : repeated) {
      const TensorEntry& entry = *file.find(tensor.name);
      bytes.resize(entry.bytes);
      file.read(entry, bytes.data());
      const std::string recorded = sha256_hex(bytes), found = digest_of(tensor.value);
      ++counts.tensors;
      if (recorded == found)
        ++counts.equal;
      else
        out_.departures.push_back({counts.step, str(name, ": tensor '", tensor.name, "'"), recorded, found});
    }
  }

  const Record& record_;
  Verification& out_;
  size_t row_ = 0, checkpoint_ = 0;  // that come next
};

}  // namespace

std::optional<Verification> verify(const VerifyRequest& request) {
  require_run_folder(request.run);
  const auto [checkpoint, state, damaged] = read_whole_checkpoint(request.run, request.from);
  const Record record = read_record(request, state.run);
  Verification out;
  out.steps = record.last() - request.from;

  // A run may have been resumed on other threads: those after the checkpoint made the steps in question.
  std::vector<MachineFacts> makers;
  for (const ResumePoint& recorded : record.checkpoints) makers.push_back(recorded.state.machine);
  if (makers.empty()) makers.push_back(state.machine);
  take_machine(makers.front(), request.threads);
  const MachineFacts machine = machine_facts();
  for (const MachineFacts& maker : makers)
    for (const std::string& difference : machine_differences(maker, machine))
      if (std::find(out.machine.begin(), out.machine.end(), difference) == out.machine.end()) out.machine.push_back(difference);
  for (const std::string& difference : out.machine) log_warning(difference);

  RunSettings settings = settings_of(state, checkpoint + "/state.json");
  if (!request.data.empty()) settings.train.data = request.data;
  const TaskPtr task = task_named(settings.train.task).open(settings);
  check_same_data(settings.train.data, task->data(), state.data);
  const auto seed = static_cast<uint64_t>(settings.train.seed);
  task->make_model(seed);
  load_weights(checkpoint, task->parameters());
  task->to(request.device);
  Trainer trainer(task->parameters(), settings.train, seed, state.horizon);
  load_optimizer(checkpoint, trainer.optimizer(), state.step);
  task->begin(seed, state.step);

  Comparison comparison(record, out);
  Progress progress("verify", static_cast<double>(out.steps), "steps");
  for (int64_t step = request.from + 1; step <= record.last(); ++step) {
    if (stop_signal() != 0) return std::nullopt;
    task->next_batch();
    const StepResult repeated = trainer.step([&task](const Pass& pass) { return task->loss(pass); });
    comparison.row_of(step, repeated);
    comparison.checkpoint_of(step, trainer.optimizer());
    progress.update(static_cast<double>(step - request.from), fmt::format("loss {:.3f}", repeated.loss));
  }
  return out;
}

Json verification_json(const VerifyRequest& request, const Verification& done) {
  Json checkpoints = Json::array(), departures = Json::array();
  for (const ComparedCheckpoint& one : done.checkpoints)
    checkpoints.push_back({{"step", one.step}, {"tensors", one.tensors}, {"equal", one.equal}});
  for (const Departure& one : done.departures)
    departures.push_back({{"step", one.step}, {"place", one.place}, {"recorded", one.recorded}, {"repeated", one.repeated}});
  return {{"run", request.run},         {"from", request.from},    {"steps", done.steps},       {"rows", done.rows},
          {"checkpoints", checkpoints}, {"machine", done.machine}, {"differences", departures}, {"equal", done.equal()}};
}

}  // namespace aot
