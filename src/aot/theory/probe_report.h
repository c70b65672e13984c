// SPDX-License-Identifier: Apache-2.0
// Probes of several runs and stages as JSON, as tables, and as pictures: mean and interval over runs of the same settings.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "aot/io/json.h"
#include "aot/theory/probe.h"

namespace aot {

/// A mean over runs; `half` is half the length of its 95 % interval by Student's t, NaN for a single run.
struct Interval {
  double mean = 0, half = 0;
};

Interval interval_of(const std::vector<double>& values);

struct ProbedStage {
  std::string model;  // the path that was given
  std::string stage;  // ProbeStage::name
  int64_t step = -1;
  ModelProbe probe;
};

/// Everything, with the settings that it depends on.
struct ProbeResult {
  ProbeOptions options;
  uint64_t seed = 0;
  std::string data;
  std::vector<ProbedStage> stages;
};

/// `groups`: runs of the same settings, by stage, a row of intervals for each layer and the laws of growth; `models`: every head of every
/// layer of every model (docs/theory.md).
Json probe_json(const ProbeResult& result);

/// Tables in Markdown.
std::string probe_markdown(const ProbeResult& result);

/// Pictures by file name: SNR by layer at each stage of a group, beside both baselines, and its growth.
std::vector<std::pair<std::string, std::string>> probe_pictures(const ProbeResult& result);

/// Stages of runs with the same settings, in the order in which they came.
struct ProbeGroup {
  std::string name;                                                             // e.g. "mssa tied, 128 x 12, 8 heads of 16"
  std::string subspaces;                                                        // what was measured: "U_k" or "value subspaces of mhsa"
  std::vector<std::pair<std::string, std::vector<const ProbedStage*>>> stages;  // by name, one for each run
};

std::vector<ProbeGroup> probe_groups(const ProbeResult& result);

/// One number of a layer over the runs of a stage.
Interval over_runs(const std::vector<const ProbedStage*>& runs, size_t layer, const std::function<double(const ProbedLayer&)>& of);

/// "before training", "step 4000", "last".
std::string stage_title(const std::string& stage, const std::vector<const ProbedStage*>& runs);

}  // namespace aot
