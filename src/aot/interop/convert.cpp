// SPDX-License-Identifier: Apache-2.0
#include "aot/interop/convert.h"

#include <filesystem>
#include <utility>

#include "aot/core/atomic.h"
#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/output.h"

namespace aot {
namespace {

// float32 differs by the order of sums alone; rounding weights to bfloat16 moves each by up to 2^-9 of itself, to int8 by up to 2^-8 of the
// largest of its row.
constexpr double kFloatBound = 1e-5, kBfloat16Bound = 0.05, kInt8Bound = 0.1;

ForeignModel read_model(const std::string& format, const std::string& path, int64_t heads) {
  if (format == "nanogpt") return read_nanogpt(path);
  if (format == "tost") return read_tost(path);
  if (format == "gpt2") return read_gpt2(path);
  if (format == "transformerlens") return read_transformer_lens(path);
  if (format == "crate") return read_crate(path, heads);
  if (format == "aot" || format == "hf") return read_ours(path);
  throw UsageError("unknown format '" + format + "'");
}

void write_model(const std::string& format, const ForeignModel& model, const std::string& path, at::ScalarType dtype) {
  if (format == "hf") return write_hf(model, path, dtype);
  if (format == "gpt2") return write_gpt2(model, path, dtype);
  if (format == "nanogpt") return write_nanogpt(model, path, dtype);
  return write_aot(model, path, dtype);
}

/// Ends the writing of a model.
struct Stopped {};

/// Tells how far the reading of `model` is, twice over: digests are taken before anything is written. Throws Stopped after a stop signal.
ForeignModel with_progress(ForeignModel model, double bytes, Progress& progress) {
  const auto done = std::make_shared<double>(0);
  for (LazyTensor& tensor : model.tensors)
    tensor.read = [read = std::move(tensor.read), done, bytes, &progress] {
      if (stop_signal() != 0) throw Stopped();
      at::Tensor numbers = read();
      *done += static_cast<double>(numbers.nbytes());
      progress.update(*done > bytes ? (*done - bytes) / 1e6 : 0, *done > bytes ? "" : "digests");
      return numbers;
    };
  return model;
}

}  // namespace

std::optional<Conversion> convert(ConvertOptions options) {
  options.target = without_slash_at_end(options.target);
  if (options.source.empty() || options.target.empty())
    throw UsageError("convert needs SOURCE and TARGET", "e.g. aot convert --from nanogpt out/ckpt.pt model");
  if (options.dtype == "int8" && options.to != "aot")
    throw UsageError("--dtype int8 is for --to aot: " + options.to + " has no such weights", "use --dtype bfloat16");
  if (options.heads > 0 && options.from != "crate") throw UsageError("--heads is of --from crate alone: other files tell it");
  if (std::filesystem::exists(std::filesystem::symlink_status(options.target)))
    throw UsageError(escaped(options.target) + " is there already: never overwritten", "name a new TARGET");
  const at::ScalarType dtype = options.dtype == "bfloat16" ? at::kBFloat16 : options.dtype == "int8" ? at::kChar : at::kFloat;

  const ForeignModel model = read_model(options.from, options.source, options.heads);
  Conversion out{.task = std::holds_alternative<VisionOptions>(model.options) ? "vision" : "language"};
  for (const LazyTensor& tensor : model.tensors) out.parameters += c10::multiply_integers(tensor.shape);
  out.tensors = static_cast<int64_t>(model.tensors.size());
  out.has_tokenizer = !model.tokenizer_json.empty();
  if (out.task == "vision" && options.to != "aot")
    throw UsageError("--to " + options.to + " takes language models, this is one for vision", "use --to aot");
  make_folders(folder_of(options.target));
  remove_leftovers(folder_of(options.target), std::filesystem::path(options.target).filename().string());
  try {
    const double bytes = static_cast<double>(out.parameters) * sizeof(float) * (dtype == at::kChar ? 2 : 1);  // scales are read for apart
    Progress progress("convert", bytes / 1e6, "MB");
    write_model(options.to, with_progress(model, bytes, progress), options.target, dtype);
  } catch (const Stopped&) {
    return std::nullopt;
  }
  if (!options.verify || stop_signal() != 0) return out;

  log_info("comparing logits");
  const at::Tensor probe = std::visit([](const auto& settings) { return probe_of(settings); }, model.options);
  const at::Tensor wanted = model.logits(probe);
  out.difference = compare_logits(wanted, read_model(options.to, options.target, 0).logits(probe));
  out.bound = dtype == at::kFloat ? kFloatBound : dtype == at::kChar ? kInt8Bound : kBfloat16Bound;
  return out;
}

}  // namespace aot
