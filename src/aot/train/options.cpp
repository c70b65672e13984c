// SPDX-License-Identifier: Apache-2.0
#include "aot/train/options.h"

#include <algorithm>

#include "aot/io/error.h"

namespace aot {

void describe(Fields& fields, TrainOptions& options) {
  constexpr double kMost = 1e12;  // of a count: products of two stay below 2^63 where they are formed
  fields.heading("Run");
  fields.add("task", options.task, "what is learnt: next tokens of a text, classes of pictures, or functions in context").metavar("NAME");
  fields.add("preset", options.preset, "named settings to start from; `aot inspect --preset list` shows them").metavar("NAME");
  fields.add("data", options.data, "folder made by `aot data prepare` or `make`, or nanoGPT's train.bin and val.bin").metavar("DIR");
  fields.add("init-from", options.init_from, "checkpoint or run whose weights to start from; its model's settings too, unless given")
      .metavar("PATH");

  fields.heading("Training");
  fields.add("steps", options.steps, "optimizer steps in all").min(1).max(kMost);
  fields.add("batch", options.batch, "sequences, or images, in one pass").min(1).max(1 << 20);
  fields.add("accumulate", options.accumulate, "passes whose gradients make one step").min(1).max(1 << 20);
  describe(fields, options.schedule);
  describe(fields, options.optimizer);
  fields.add("clip", options.clip, "largest global norm of the gradient; 0: any").min(0);
  fields.add("dtype", options.dtype, "numbers of the forward and backward pass; weights stay float32").choices({"float32", "bfloat16"});
  fields.add("recompute", options.recompute, "keep only each layer's input for the backward pass: less memory, a quarter slower");

  fields.heading("Budget");
  fields.add("max-minutes", options.max_minutes, "end when the run, resumes included, has trained this long; 0: any").min(0);
  fields.add("stop-after", options.stop_after, "save and stop at this step, the schedule unchanged; 0: no").min(0).max(kMost).not_saved();

  fields.heading("Watching and saving");
  fields.add("log-every", options.log_every, "steps between rows of the metrics").min(1).max(kMost);
  fields.add("eval-every", options.eval_every, "steps between evaluations; 0: at the end only").min(0).max(kMost);
  fields.add("save-every", options.save_every, "steps between checkpoints; 0: at the end only").min(0).max(kMost);
  fields.add("keep", options.keep, "newest checkpoints kept, besides the best").min(2).max(1e6);
  fields.add("on-save-error", options.on_save_error, {{"continue", OnSaveError::go_on}, {"stop", OnSaveError::stop}},
             "after a checkpoint that could not be written: train on, or stop with exit code 4");
}

void check(const TrainOptions& options, int64_t horizon) {
  check(options.schedule);
  if (options.schedule.warmup > horizon)
    throw UsageError(str("warmup of ", options.schedule.warmup, " steps exceeds the ", horizon, " steps of the run"),
                     "lower --warmup, or raise --steps or --max-tokens");
}

int64_t planned_steps(const TrainOptions& options, int64_t tokens_per_step) {
  if (options.max_tokens == 0) return options.steps;
  return std::min(options.steps, (options.max_tokens - 1) / tokens_per_step + 1);
}

}  // namespace aot
