// SPDX-License-Identifier: Apache-2.0
// Error curves of networks and baselines as rows, as a table, and as a picture.
#pragma once

#include <string>
#include <vector>

#include "aot/eval/regression.h"

namespace aot {

/// A line of JSON {"examples", "model", "error", "low", "high"} for every point of every curve.
std::string curve_rows(const std::vector<ErrorCurve>& curves);

/// A table in Markdown: a row for every number of examples, a column for every curve; errors alone.
std::string curve_table(const std::vector<ErrorCurve>& curves);

/// The picture: the first `networks` curves as lines, baselines dashed (of several lasso the published one, alpha 0.01), their intervals as
/// bands. What is above twice the error of zero is cut off, so that averaging of few examples does not hide the rest.
std::string curve_chart(const std::string& title, const std::vector<ErrorCurve>& curves, size_t networks);

}  // namespace aot
