// SPDX-License-Identifier: Apache-2.0
// Next-token prediction on prepared text.
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include "aot/core/log.h"
#include "aot/data/loader.h"
#include "aot/data/token_dataset.h"
#include "aot/eval/text.h"
#include "aot/generate/generate.h"
#include "aot/io/error.h"
#include "aot/models/checkpoint.h"
#include "aot/train/evaluate.h"
#include "aot/train/model_fields.h"
#include "aot/train/task.h"

namespace aot {
namespace {

constexpr int64_t kSampleTokens = 200;

TextDataset open_data(const TrainOptions& train, const LanguageOptions& model) {
  if (train.data.empty()) throw UsageError("train needs --data DIR", "make one by aot data prepare FILE... --tokenizer char --out DIR");
  TextDataset data = open_text_dataset(train.data, train.tokenizer, model.vocab_size);
  const int64_t needed = model.context + 1;
  for (const TokenFile* file : {data.train.get(), data.val.get()}) {
    if (file == nullptr) continue;
    if (file->tokens() < needed)
      throw FileError(file->path(), "", str("has ", file->tokens(), " tokens, need ", needed, " for a context of ", model.context));
    file->check_all();
  }
  return data;
}

class LanguageTask final : public Task {
 public:
  explicit LanguageTask(RunSettings& settings)
      : train_(settings.train), data_(open_data(settings.train, settings.language)), options_(settings.language) {
    if (options_.vocab_size == 0) options_.vocab_size = data_.vocab_size;
    if (options_.vocab_size < data_.vocab_size)
      throw UsageError(str("the tokenizer has ", data_.vocab_size, " tokens, model ", options_.vocab_size),
                       "raise --vocab-size or leave it out");
    settings.language = options_ = resolved(options_);
    if (data_.tokenizer) tokenizer_json_ = data_.tokenizer->to_json();
  }

  [[nodiscard]] DataFacts data() const override { return {data_.train_sha256, data_.val_sha256, data_.tokenizer_sha256}; }
  [[nodiscard]] bool has_validation() const override { return data_.val != nullptr; }
  [[nodiscard]] ModelSummary summary() const override {
    return summarize(LanguageModel::without_storage(options_), train_.batch, options_.context);
  }
  [[nodiscard]] double flop_per_unit() const override { return summary().flop_per_token; }
  [[nodiscard]] double batch_bytes() const override { return BatchLoader::buffer_bytes(loader_options(0, 0)); }

  [[nodiscard]] std::string about_data() const override {
    const auto count = [](int64_t n) { return count_text(static_cast<double>(n)); };
    return fmt::format("{}: {} tokens to train on, {} to validate, vocabulary {}", escaped(train_.data), count(data_.train->tokens()),
                       data_.val ? count(data_.val->tokens()) : "none", data_.vocab_size);
  }
  [[nodiscard]] std::string about_model() const override {
    const LanguageOptions& o = options_;
    return fmt::format("{}, {} layers, width {}, {} heads of {}, context {}", o.mixer, o.layers, o.width, o.heads, o.head_dim, o.context);
  }

  void make_model(uint64_t seed) override { model_.emplace(options_, seed); }
  void to(at::Device device) override {
    device_ = device;
    model_->to(device, at::kFloat);
  }
  [[nodiscard]] Parameters parameters() const override { return model_->parameters(); }
  void save(AtomicFolder& folder) const override {
    save_model(folder, *model_);
    if (!tokenizer_json_.empty()) folder.add_text("tokenizer.json", tokenizer_json_);
  }

  void begin(uint64_t seed, int64_t step) override { loader_.emplace(*data_.train, loader_options(seed, step)); }
  void next_batch() override {
    const int64_t rows = train_.batch * train_.accumulate;
    batch_ = at::from_blob(const_cast<int64_t*>(loader_->next()), {rows, options_.context + 1}, at::kLong).to(device_);
  }
  [[nodiscard]] at::Tensor loss(const Pass& pass) const override {
    return language_loss(*model_, batch_.narrow(1, 0, options_.context), batch_.narrow(1, 1, options_.context), pass);
  }

  [[nodiscard]] std::optional<Evaluation> watch() const override {
    const WindowLoss result = mean_loss(*model_, *data_.val, train_.eval_windows, train_.batch);
    if (result.windows == 0) return std::nullopt;
    return Evaluation{.loss = result.loss, .count = result.windows, .more = {}};
  }
  [[nodiscard]] std::optional<Evaluation> evaluate() const override {
    const std::optional<TextScore> score = score_text(*model_, source_of(*data_.val), nullptr, 0, true);
    if (!score) return std::nullopt;
    return Evaluation{.loss = score->loss, .count = score->windows, .more = {}};
  }
  [[nodiscard]] std::string sample(uint64_t seed) const override {
    if (!data_.tokenizer) return "";
    GenerateOptions options;
    options.tokens = kSampleTokens;
    Generator generator(*model_, *data_.tokenizer, "");
    return generator.sample(seed, options).text;
  }

 private:
  [[nodiscard]] BatchOptions loader_options(uint64_t seed, int64_t step) const {
    return {.seed = seed, .first_step = step, .rows = train_.batch * train_.accumulate, .length = options_.context + 1};
  }

  const TrainOptions& train_;
  TextDataset data_;
  LanguageOptions options_;
  std::string tokenizer_json_;
  std::optional<LanguageModel> model_;
  at::Device device_ = at::kCPU;
  std::optional<BatchLoader> loader_;
  at::Tensor batch_;  // (rows, context + 1)
};

void describe_task(Fields& fields, RunSettings& settings) {
  TrainOptions& options = settings.train;
  describe(fields, settings.language);
  fields.heading("Text");
  fields.add("tokenizer", options.tokenizer, "of a .bin without meta.json: tokenizer.json, byte, or a folder with GPT-2's files")
      .metavar("PATH");
  fields.add("max-tokens", options.max_tokens, "end when this many tokens were seen; 0: any").min(0).max(1e18);
  fields.add("eval-windows", options.eval_windows, "fixed validation windows of evaluations on the way; the last one uses all")
      .min(1)
      .max(1e9);
  fields.add("sample-every", options.sample_every, "steps between samples of text; 0: none").min(0).max(1e12);
}

}  // namespace

TaskEntry language_task() {
  return {.name = "language",
          .unit = "tokens",
          .counted = "windows",
          .describe = describe_task,
          .units_per_row = [](const RunSettings& settings) { return settings.language.context; },
          .set_model = [](Fields& fields,
                          const std::string& checkpoint) { set_model_fields(fields, read_model_options(checkpoint), checkpoint); },
          .open = [](RunSettings& settings) -> TaskPtr { return std::make_unique<LanguageTask>(settings); }};
}

}  // namespace aot
