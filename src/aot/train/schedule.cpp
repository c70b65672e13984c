// SPDX-License-Identifier: Apache-2.0
#include "aot/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "aot/io/error.h"

namespace aot {
namespace {

constexpr double kDecayPart = 0.2;  // of the steps after the warm-up, in wsd

double between(double from, double to, double part) {
  return from + (to - from) * part;
}

}  // namespace

void describe(Fields& fields, ScheduleOptions& options) {
  fields.add("lr", options.lr, "largest learning rate").above(0);
  fields.add("min-lr", options.min_lr, "learning rate at the end").min(0);
  fields.add("warmup", options.warmup, "steps of linear warm-up").min(0).max(1e12);
  fields.add("schedule", options.shape,
             {{"cosine", ScheduleShape::cosine},
              {"linear", ScheduleShape::linear},
              {"wsd", ScheduleShape::wsd},
              {"constant", ScheduleShape::constant}},
             "from lr to min-lr after the warm-up; wsd decays over the last fifth");
}

void check(const ScheduleOptions& options) {
  if (options.shape != ScheduleShape::constant && options.min_lr > options.lr)
    throw UsageError(str("min-lr ", options.min_lr, " exceeds lr ", options.lr), "lower --min-lr");
}

double learning_rate(const ScheduleOptions& options, int64_t horizon, int64_t step) {
  if (step < options.warmup) return options.lr * static_cast<double>(step + 1) / static_cast<double>(options.warmup + 1);
  const double r = step >= horizon ? 1 : static_cast<double>(step - options.warmup) / static_cast<double>(horizon - options.warmup);
  switch (options.shape) {
    case ScheduleShape::cosine:
      return between(options.min_lr, options.lr, (1 + std::cos(std::numbers::pi * r)) / 2);
    case ScheduleShape::linear:
      return between(options.lr, options.min_lr, r);
    case ScheduleShape::wsd:
      return between(options.lr, options.min_lr, std::max(0.0, (r - (1 - kDecayPart)) / kDecayPart));
    case ScheduleShape::constant:
      return options.lr;
  }
  return options.lr;
}

}  // namespace aot
