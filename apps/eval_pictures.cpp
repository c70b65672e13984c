// SPDX-License-Identifier: Apache-2.0
// aot eval top1, knn, linear-probe: how well vision models, or their features, tell pictures apart.
#include <memory>

#include <fmt/format.h>

#include "aot/core/log.h"
#include "aot/eval/linear_probe.h"
#include "aot/eval/nearest_neighbours.h"
#include "aot/eval/pictures.h"
#include "aot/io/error.h"
#include "apps/eval.h"
#include "apps/picture_input.h"

namespace aot {
namespace {

struct Row {
  PictureScore score;
  std::string protocol;
  Json more = Json::object();  // what only this task says
};

struct Task {
  const char* name;
  const char* summary;
  const char* examples;
  PictureChoice choice;
  Row (*run)(const VisionModel& model, const PictureInput& input, const PictureFlags& flags);
};

Row run_top1(const VisionModel& model, const PictureInput& input, const PictureFlags& flags) {
  const ImageSplit& split = input.split(flags.split);
  const auto classes = static_cast<int64_t>(input.data.classes.size()), known = model.options().classes;
  if (classes > known)
    throw FileError(input.data.path, "", str("has ", classes, " classes, the model knows ", known),
                    "`aot eval knn` and `linear-probe` need only its features");
  check_pictures(model, split, input.reading);
  if (classes < known)  // as a preset for ImageNet has them on fewer
    log_warning(
        str(escaped(input.data.path), " has ", classes, " classes, the model knows ", known, ": its answers beyond them are wrong"));
  const int64_t size = model.options().image_size, resize = flags.resize > 0 ? flags.resize : size;
  return {
      score_pictures(model, split, input.reading, true).value(), str("resize ", resize, ", centre crop ", size), {{"split", flags.split}}};
}

struct Features {
  PictureFeatures train, val;
};

Features read_features(const VisionModel& model, const PictureInput& input) {
  const ImageSplit &train = input.split("train"), &val = input.split("val");
  return {picture_features(model, train, input.reading, "reading train"), picture_features(model, val, input.reading, "reading val")};
}

Row run_knn(const VisionModel& model, const PictureInput& input, const PictureFlags&) {
  const Features features = read_features(model, input);
  const NeighbourOptions options;
  return {score_neighbours(features.train, features.val, static_cast<int64_t>(input.data.classes.size()), options, true).value(),
          fmt::format("cosine, k = {}, exp(s / {})", options.neighbours, options.temperature),
          {{"train", features.train.labels.size(0)}}};
}

Row run_linear_probe(const VisionModel& model, const PictureInput& input, const PictureFlags&) {
  const Features features = read_features(model, input);
  const LinearProbeOptions options;
  const LinearProbe probe = fit_linear_probe(features.train, static_cast<int64_t>(input.data.classes.size()), options, true).value();
  if (!probe.converged)
    log_warning(
        fmt::format("the classifier stopped short of its optimum: gradient {:.2g} after {} iterations", probe.gradient, probe.iterations));
  return {score_linear_probe(probe, features.val),
          fmt::format("logistic regression, L2 {} on standardised features", options.penalty),
          {{"train", features.train.labels.size(0)},
           {"train_objective", probe.objective},
           {"iterations", probe.iterations},
           {"converged", probe.converged}}};
}

Json as_json(const Row& row, const Task& task, const std::string& model, const std::string& data) {
  Json json = {{"task", task.name},
               {"protocol", row.protocol},
               {"top1", row.score.top1},
               {"top5", or_null(row.score.top5)},
               {"count", row.score.count},
               {"stderr", or_null(row.score.standard_error)},
               {"loss", or_null(row.score.loss)}};
  json.update(row.more);
  json.update({{"model", model}, {"data", data}});
  return json;
}

void add(Subcommand& command, const Task& task) {
  struct State {
    PictureFlags flags;
    Fields fields;
  };
  const auto state = std::make_shared<State>();
  CLI::App* app = command.app.add_subcommand(task.name, task.summary);
  app->fallthrough();
  state->fields.heading("Evaluate");
  describe(*app, state->fields, state->flags, task.choice);
  set_examples(*app, task.examples);
  state->fields.add_flags(*app);
  app->callback([state, task, &general = command.general] {
    resolve(state->fields);
    const PictureInput input = open_pictures(state->flags, std::string("eval ") + task.name);
    bool head = !general.json;
    for (const std::string& path : state->flags.models) {
      const LoadedVision loaded = load_vision(path, general);
      const Row row = task.run(*loaded.model, input, state->flags);
      if (general.json) {
        print(dump_json(as_json(row, task, loaded.checkpoint, state->flags.data)) + "\n");
        continue;
      }
      if (head)
        print(fmt::format("{:>8}  {:>8}  {:>8}  {:>8}  {:>8}  model ({})\n", "top1", "stderr", "top5", "loss", "pictures", row.protocol));
      head = false;
      print(fmt::format("{:>8}  {:>8}  {:>8}  {:>8}  {:>8}  {}\n", percent_text(row.score.top1), percent_text(row.score.standard_error),
                        percent_text(row.score.top5), number_text(row.score.loss), row.score.count, escaped(loaded.checkpoint)));
    }
  });
}

}  // namespace

void add_picture_evaluations(Subcommand& command) {
  add(command, {"top1",
                "how often vision models name a picture rightly, and their loss",
                "  aot eval top1 --model run --data data/digits\n"
                "  aot eval top1 --model run-1 --model run-2 --data data/imagenet --resize 256 --json\n",
                {.split = true, .images = true, .several_models = true},
                run_top1});
  add(command, {"knn",
                "how well features sort pictures by the vote of the 20 nearest training pictures",
                "  aot eval knn --model run --data data/digits\n",
                {.several_models = true},
                run_knn});
  add(command, {"linear-probe",
                "how well a linear classifier on frozen features, fitted on the train split, does on the val split",
                "  aot eval linear-probe --model run --data data/shapes --json\n",
                {.several_models = true},
                run_linear_probe});
}

}  // namespace aot
