// SPDX-License-Identifier: Apache-2.0
#include "aot/train/loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "aot/core/atomic.h"
#include "aot/core/clock.h"
#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/core/non_finite.h"
#include "aot/core/random.h"
#include "aot/core/signals.h"
#include "aot/io/error.h"
#include "aot/ops/ceilings.h"
#include "aot/ops/mssa_kernel.h"

namespace aot {
namespace {

class Loop {
 public:
  explicit Loop(LoopParts parts)
      : parts_(std::move(parts)),
        train_(parts_.settings.train),
        seed_(static_cast<uint64_t>(train_.seed)),
        state_(parts_.state),
        unit_(task_named(train_.task).unit),
        end_(planned_steps(parts_.settings)),
        stop_(train_.stop_after > 0 ? std::min(train_.stop_after, end_) : end_),
        peak_gflops_(measured_peak_gflops(parse_dtype(train_.dtype))),
        seconds_before_(state_.seconds),
        saved_step_(state_.step),
        logged_step_(state_.step) {}

  LoopResult run();

 private:
  void one_step();
  void watch();
  void look();
  bool evaluate();
  void sample();
  void save(bool must);
  void log_row();
  /// Units per second of this process.
  [[nodiscard]] double rate() const {
    return static_cast<double>(steps_here_ * units_per_step(parts_.settings)) / std::max(step_seconds_, 1e-9);
  }
  [[nodiscard]] double seconds() const { return seconds_before_ + seconds_since(start_); }
  [[nodiscard]] bool out_of_time() const { return train_.max_minutes > 0 && seconds() >= 60 * train_.max_minutes; }
  /// Each `every` steps, and at the end of the budget; 0: only there.
  [[nodiscard]] bool due(int64_t every) const { return state_.step == end_ || (every > 0 && state_.step % every == 0); }

  LoopParts parts_;
  const TrainOptions& train_;
  uint64_t seed_;
  TrainState& state_;
  std::string unit_;
  int64_t end_, stop_;  // steps at which the budget, and this process, end
  double peak_gflops_;

  Clock::time_point start_ = Clock::now();
  double seconds_before_;      // trained by earlier processes
  double step_seconds_ = 0;    // spent in steps by this process
  double logged_seconds_ = 0;  // of those, up to the last row
  double waited_ = 0;          // for batches, and how much of it up to the last row
  double logged_wait_ = 0;
  MssaCounts logged_heads_ = mssa_counts();
  int64_t saved_step_, logged_step_, steps_here_ = 0;
  bool improved_ = false;  // the newest evaluation was the best, and is not saved yet
  std::optional<BestLoss> saved_best_ = state_.best;
  StepResult last_;
};

LoopResult Loop::run() {
  if (state_.step == 0) save(true);                                  // from here on the run can be resumed
  if (state_.step > 0 && out_of_time()) end_ = stop_ = state_.step;  // that ended it before
  if (state_.evaluated != state_.step) {                             // a signal put it off
    look();
    if (improved_) save(true);
  }
  parts_.task.begin(seed_, state_.step);
  Progress progress("train", static_cast<double>(end_), "steps", static_cast<double>(state_.step));
  while (state_.step < stop_ && stop_signal() == 0) {
    one_step();
    if (out_of_time()) end_ = stop_ = state_.step;
    watch();
    progress.update(static_cast<double>(state_.step), fmt::format("loss {:.3f}  {} {}/s", last_.loss, count_text(rate()), unit_));
  }
  progress.finish();
  if (saved_step_ != state_.step) save(true);
  state_.seconds = seconds();
  LoopResult result{
      .finished = state_.step >= end_, .loss = {}, .units_per_s = rate(), .data_wait = waited_ / std::max(step_seconds_, 1e-9)};
  if (steps_here_ > 0) result.loss = last_.loss;
  return result;
}

void Loop::one_step() {
  const Clock::time_point start = Clock::now();
  parts_.task.next_batch();
  waited_ += seconds_since(start);
  last_ = parts_.trainer.step([this](const Pass& pass) { return parts_.task.loss(pass); });
  step_seconds_ += seconds_since(start);
  ++steps_here_;
  ++state_.step;
  state_.units += units_per_step(parts_.settings);
}

/// What is done between two steps.
void Loop::watch() {
  if (due(train_.log_every)) log_row();
  look();
  if (due(train_.save_every) || improved_) save(state_.step >= stop_);
}

/// The evaluation and the sample that this step asks for. A signal puts both off until the run goes on, so that it says the same as one
/// that was never stopped.
void Loop::look() {
  const AveragedWeights averaged(parts_.trainer.optimizer());
  if (due(train_.eval_every) && !evaluate()) return;
  if (train_.sample_every > 0 && due(train_.sample_every)) sample();
  state_.evaluated = state_.step;
}

void Loop::log_row() {
  const double spent = std::max(step_seconds_ - logged_seconds_, 1e-9);
  const double units_per_s = static_cast<double>((state_.step - logged_step_) * units_per_step(parts_.settings)) / spent;
  const double gflops = units_per_s * parts_.task.flop_per_unit() / 1e9;
  if (gflops > peak_gflops_)  // the first measurement was disturbed
    peak_gflops_ = std::max(gflops, measured_peak_gflops(parse_dtype(train_.dtype)));
  const MssaCounts heads = mssa_counts();
  parts_.log.step({.step = state_.step,
                   .loss = last_.loss,
                   .lr = last_.lr,
                   .gradient_norm = last_.gradient_norm,
                   .units = state_.units,
                   .seconds = seconds(),
                   .units_per_s = units_per_s,
                   .data_wait = (waited_ - logged_wait_) / spent,
                   .peak_share = gflops / peak_gflops_,
                   .memory_bytes = peak_resident_bytes(),
                   .fallbacks = fallback_share(logged_heads_, heads)});
  logged_heads_ = heads;
  logged_step_ = state_.step;
  logged_seconds_ = step_seconds_;
  logged_wait_ = waited_;
}

/// False when a signal came in between.
bool Loop::evaluate() {
  if (!parts_.task.has_validation()) return true;
  const std::optional<Evaluation> result = parts_.task.watch();
  if (!result) return false;
  if (!std::isfinite(result->loss)) throw NonFiniteError(fmt::format("step {}: validation loss is {}", state_.step, result->loss));
  const bool compares = !state_.best || state_.best->compares(result->count);
  if (!compares)
    log_info(fmt::format("the best loss of before was over {} {}, not {}: it starts anew", state_.best->count,
                         task_named(train_.task).counted, result->count));
  improved_ = !state_.best || !compares || result->loss < state_.best->loss;
  if (improved_) state_.best = BestLoss{state_.step, result->loss, result->count};
  parts_.log.validation(state_.step, result->loss, result->count, improved_, result->more);
  std::string more;
  for (const auto& [name, value] : result->more) more += fmt::format(", {} {:.4f}", name, value);
  log_info(fmt::format("step {}: validation loss {:.4f}{}{}", state_.step, result->loss, more, improved_ ? ", the best so far" : ""));
  return true;
}

void Loop::sample() {
  const std::string text = parts_.task.sample(derive_seed(seed_, "sample", static_cast<uint64_t>(state_.step)));
  if (text.empty()) return;
  parts_.log.sample(state_.step, text);
  log_info(fmt::format("step {}: sample", state_.step));
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    log_info("  | " + escaped(rest.substr(0, end), 1000));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

void Loop::save(bool must) {
  state_.seconds = seconds();
  state_.next_data = state_.step;
  state_.logs = parts_.log.sync();
  try {
    save_checkpoint(
        parts_.folder, [this](AtomicFolder& folder) { parts_.task.save(folder); }, parts_.trainer.optimizer(), state_);
    if (improved_) replace_link(parts_.folder + "/checkpoints", "best", checkpoint_name(state_.step));
    remove_old_checkpoints(parts_.folder, state_, train_.keep, parts_.damaged);
    saved_step_ = state_.step;
    saved_best_ = state_.best;
    log_detail(fmt::format("step {}: saved", state_.step));
  } catch (const FileError& error) {
    if (must || error.code != ExitCode::io || train_.on_save_error == OnSaveError::stop) throw;
    log_warning(fmt::format("step {} was not saved, training goes on: {}", state_.step, error.what()));
    state_.best = saved_best_;  // those weights are gone: the best is the one that is there
  }
  improved_ = false;  // also after a failure: the next try is at the next interval
}

}  // namespace

LoopResult train_loop(LoopParts parts) {
  const std::string checkpoints = parts.folder + "/checkpoints";
  try {
    return Loop(std::move(parts)).run();
  } catch (const NonFiniteError& error) {
    std::error_code none;
    const std::string last = std::filesystem::read_symlink(checkpoints + "/last", none).string();
    throw Error(error.code, error.problem, last.empty() ? "no checkpoint was saved" : "last good checkpoint " + checkpoints + "/" + last);
  }
}

}  // namespace aot
