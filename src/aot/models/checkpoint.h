// SPDX-License-Identifier: Apache-2.0
// A model on disk: config.json, model.safetensors, tokenizer.json, and the manifest that vouches for them (docs/models.md).
#pragma once

#include <memory>
#include <string>

#include "aot/core/atomic.h"
#include "aot/io/json.h"
#include "aot/models/language.h"
#include "aot/models/regression.h"
#include "aot/models/vision.h"

namespace aot {

/// The checkpoint that `path` means: a checkpoint folder itself, or of a run folder checkpoints/best when there is one, else
/// checkpoints/last. The links are followed: the result is a folder that a run may remove but never changes.
std::string find_checkpoint(const std::string& path, bool prefer_best = true);

/// Writes config.json and model.safetensors into a folder in the making.
void save_model(AtomicFolder& folder, const LanguageModel& model);
void save_model(AtomicFolder& folder, const VisionModel& model);
void save_model(AtomicFolder& folder, const RegressionModel& model);

/// The text of config.json, with the members of `more` after the settings.
std::string config_text(const LanguageOptions& options, const Json& more = Json::object());
std::string config_text(const VisionOptions& options, const Json& more = Json::object());
std::string config_text(const RegressionOptions& options, const Json& more = Json::object());

/// The task that the model of a checkpoint is for, "language", "vision" or "icl". Throws FileError.
std::string read_model_task(const std::string& checkpoint);

/// Reads the options alone, checked against the manifest when there is one.
LanguageOptions read_model_options(const std::string& checkpoint);
VisionOptions read_vision_options(const std::string& checkpoint);
RegressionOptions read_regression_options(const std::string& checkpoint);

/// Loads a model; the manifest is checked when there is one (a folder without is accepted only with `config.json` and is noted).
/// Throws FileError: `missing tensor`, `unexpected tensor`, `model needs`, `non-finite value`, `digest mismatch`.
std::unique_ptr<LanguageModel> load_model(const std::string& checkpoint);
std::unique_ptr<VisionModel> load_vision_model(const std::string& checkpoint);
std::unique_ptr<RegressionModel> load_regression_model(const std::string& checkpoint);

/// Copies the weights of a checkpoint into the parameters of a model of the same tensors. Checks and throws like `load_model`.
void load_weights(const std::string& checkpoint, const Parameters& parameters);

/// Checks every file of a checkpoint against its manifest; damage to a tensor is named by tensor. Throws FileError.
Manifest verify_checkpoint(const std::string& checkpoint);

}  // namespace aot
