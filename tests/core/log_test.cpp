// SPDX-License-Identifier: Apache-2.0
#include "aot/core/log.h"

#include <gtest/gtest.h>

namespace aot {
namespace {

TEST(LogTexts, AreShortAndInUnitsOfPeople) {
  EXPECT_EQ(duration_text(0.04), "0.0 s");
  EXPECT_EQ(duration_text(9.96), "10.0 s");
  EXPECT_EQ(duration_text(59.4), "59 s");
  EXPECT_EQ(duration_text(95), "1 min 35 s");
  EXPECT_EQ(duration_text(3600 * 26 + 61), "26 h 1 min");
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(1.536e9), "1.54 GB");
  EXPECT_EQ(count_text(12345678), "12.3 M");
  EXPECT_EQ(count_text(999.7), "1 k");
  EXPECT_EQ(count_text(7), "7");
}

TEST(Log, VerbosityDecidesWhatIsSaidAndEverythingGoesToStderr) {
  const auto said = [](Verbosity level) {
    set_verbosity(level);
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    log_info("info");
    log_detail("detail");
    log_warning("odd");
    set_verbosity(Verbosity::normal);
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(said(Verbosity::quiet), "warning: odd\n");
  EXPECT_EQ(said(Verbosity::normal), "info\nwarning: odd\n");
  EXPECT_EQ(said(Verbosity::verbose), "info\ndetail\nwarning: odd\n");
}

TEST(Progress, SaysNothingInTheFirstTwoSeconds) {
  testing::internal::CaptureStderr();
  {
    Progress progress("train", 10, "steps");
    for (int i = 0; i < 1000; ++i) progress.update(i);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace aot
