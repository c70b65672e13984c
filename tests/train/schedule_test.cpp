// SPDX-License-Identifier: Apache-2.0
#include "aot/train/schedule.h"

#include <gtest/gtest.h>

#include "aot/io/error.h"
#include "aot/train/options.h"

namespace aot {
namespace {

ScheduleOptions shaped(ScheduleShape shape) {
  return {.lr = 1.0, .min_lr = 0.2, .warmup = 4, .shape = shape};
}

TEST(Schedule, WarmsUpLinearlyAndNeverFromZero) {
  const ScheduleOptions options = shaped(ScheduleShape::cosine);
  EXPECT_DOUBLE_EQ(learning_rate(options, 104, 0), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate(options, 104, 3), 0.8);
  EXPECT_DOUBLE_EQ(learning_rate(options, 104, 4), 1.0);
}

TEST(Schedule, CosineByHand) {
  const ScheduleOptions options = shaped(ScheduleShape::cosine);
  EXPECT_DOUBLE_EQ(learning_rate(options, 104, 54), 0.6);                                 // half way: the mean of both ends
  EXPECT_DOUBLE_EQ(learning_rate(options, 104, 29), 0.2 + 0.8 * 0.85355339059327376220);  // a quarter: (1 + cos 45 degrees) / 2
  EXPECT_DOUBLE_EQ(learning_rate(options, 104, 104), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate(options, 104, 5000), 0.2);
}

TEST(Schedule, LinearByHand) {
  const ScheduleOptions options = shaped(ScheduleShape::linear);
  EXPECT_DOUBLE_EQ(learning_rate(options, 104, 29), 0.8);
  EXPECT_DOUBLE_EQ(learning_rate(options, 104, 54), 0.6);
  EXPECT_DOUBLE_EQ(learning_rate(options, 104, 104), 0.2);
}

TEST(Schedule, WsdStaysUntilTheLastFifth) {
  const ScheduleOptions options = shaped(ScheduleShape::wsd);
  EXPECT_DOUBLE_EQ(learning_rate(options, 104, 5), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(options, 104, 84), 1.0);
  EXPECT_NEAR(learning_rate(options, 104, 94), 0.6, 1e-12);
  EXPECT_NEAR(learning_rate(options, 104, 104), 0.2, 1e-12);
}

TEST(Schedule, ConstantStays) {
  const ScheduleOptions options = shaped(ScheduleShape::constant);
  EXPECT_DOUBLE_EQ(learning_rate(options, 104, 4), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(options, 104, 5000), 1.0);
}

TEST(Schedule, WithoutWarmUpStartsAtTheTop) {
  EXPECT_DOUBLE_EQ(learning_rate({.lr = 1.0, .min_lr = 0.2, .warmup = 0}, 100, 0), 1.0);
}

TEST(Schedule, WarmUpOfTheWholeRunDividesByNothing) {
  EXPECT_DOUBLE_EQ(learning_rate({.lr = 1.0, .min_lr = 0.2, .warmup = 10}, 10, 10), 0.2);
}

TEST(TrainOptions, NamesBothNumbersThatDoNotFit) {
  TrainOptions options;
  options.steps = 10;
  options.schedule.warmup = 11;
  try {
    check(options, 10);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(error.problem.find("11"), std::string::npos) << error.problem;
    EXPECT_NE(error.problem.find("10"), std::string::npos) << error.problem;
  }
  options.schedule.warmup = 0;
  options.schedule.min_lr = 1;
  EXPECT_THROW(check(options, 10), UsageError);
}

TEST(TrainOptions, TokenBudgetShortensTheRunByWholeSteps) {
  TrainOptions options;
  options.steps = 100;
  EXPECT_EQ(planned_steps(options, 768), 100);
  options.max_tokens = 768 * 7;
  EXPECT_EQ(planned_steps(options, 768), 7);
  options.max_tokens = 768 * 7 + 1;
  EXPECT_EQ(planned_steps(options, 768), 8);
  options.max_tokens = 1'000'000'000;
  EXPECT_EQ(planned_steps(options, 768), 100);
}

}  // namespace
}  // namespace aot
