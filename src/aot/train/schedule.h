// SPDX-License-Identifier: Apache-2.0
// The learning rate as a function of the step.
#pragma once

#include <cstdint>

#include "aot/core/options.h"

namespace aot {

enum class ScheduleShape { cosine, linear, wsd, constant };

struct ScheduleOptions {
  double lr = 1e-3;
  double min_lr = 1e-4;
  int64_t warmup = 100;
  ScheduleShape shape = ScheduleShape::cosine;
};

void describe(Fields& fields, ScheduleOptions& options);
void check(const ScheduleOptions& options);

/// Rate of the update that follows `step` updates, step = 0, 1, ..., with `horizon` updates in all.
///   step < warmup                lr (step + 1) / (warmup + 1)
///   then, with r = (step - warmup) / (horizon - warmup), and r = 1 from the horizon on:
///     cosine    min_lr + (lr - min_lr) (1 + cos(pi r)) / 2                              [Loshchilov and Hutter 2017; nanoGPT]
///     linear    lr + (min_lr - lr) r
///     wsd       lr up to r = 0.8, then linearly to min_lr at r = 1                      [Hu et al. 2024: warm-up, stable, decay]
///     constant  lr
double learning_rate(const ScheduleOptions& options, int64_t horizon, int64_t step);

}  // namespace aot
