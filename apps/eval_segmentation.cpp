// SPDX-License-Identifier: Apache-2.0
// aot eval segmentation: how well the best head of vision models marks the object of a picture.
#include <memory>

#include <fmt/format.h>

#include "aot/explain/segmentation.h"
#include "aot/io/error.h"
#include "apps/eval.h"
#include "apps/picture_input.h"

namespace aot {
namespace {

/// A score; `named` adds which map it is of.
Json as_json(const MaskScore& score, bool named) {
  Json out = {{"iou", score.iou},
              {"iou_stderr", or_null(score.iou_error)},
              {"pixel_accuracy", score.accuracy},
              {"pixel_accuracy_stderr", or_null(score.accuracy_error)}};
  if (named) out.update({{"layer", score.layer + 1}, {"head", score.head + 1}, {"threshold", score.threshold}});
  return out;
}

std::string with_error(double value, const std::optional<double>& error) {
  return error ? fmt::format("{:.3f} ± {:.3f}", value, *error) : fmt::format("{:.3f}", value);
}

std::string line(const char* what, const MaskScore& score, bool named) {
  std::string out =
      fmt::format("  {:<20} {:<15} {:<15}", what, with_error(score.iou, score.iou_error), with_error(score.accuracy, score.accuracy_error));
  if (named) out += fmt::format(" layer {}, head {}, threshold {:.2f}", score.layer + 1, score.head + 1, score.threshold);
  return out + "\n";
}

void run(const PictureFlags& flags, const GeneralOptions& general) {
  const PictureInput input = open_pictures(flags, "eval segmentation");
  const ImageSplit& split = input.split(flags.split);
  const uint64_t seed = general.seed >= 0 ? static_cast<uint64_t>(general.seed) : 1;  // of the controls alone
  for (const std::string& path : flags.models) {
    const LoadedVision loaded = load_vision(path, general);
    const SegmentationScore score = score_segmentation(*loaded.model, split, input.reading, seed, true).value();
    if (general.json) {
      Json json = {{"task", "segmentation"}, {"protocol", "best-head"}};
      json.update(as_json(score.best, true));
      json.update({{"count", score.count},
                   {"chosen_on", score.chosen_on},
                   {"permuted_heads", as_json(score.permuted_heads, true)},
                   {"random_projections", as_json(score.random_projections, true)},
                   {"whole_picture", as_json(score.whole_picture, false)},
                   {"seed", seed},
                   {"split", flags.split},
                   {"model", loaded.checkpoint},
                   {"data", flags.data}});
      print(dump_json(json) + "\n");
      continue;
    }
    print(
        fmt::format("{}: {} pictures, head and threshold chosen on {} others\n", escaped(loaded.checkpoint), score.count, score.chosen_on));
    print(fmt::format("  {:<20} {:<15} {:<15}\n", "", "IoU", "pixels right"));
    print(line("best head", score.best, true) + line("heads permuted", score.permuted_heads, true) +
          line("random projections", score.random_projections, true) + line("whole picture", score.whole_picture, false));
  }
}

}  // namespace

void add_segmentation(Subcommand& command) {
  struct State {
    PictureFlags flags{.images = 1000};
    Fields fields;
  };
  const auto state = std::make_shared<State>();
  CLI::App* app = command.app.add_subcommand("segmentation", "how well the best head's attention marks the object, where masks are known");
  app->fallthrough();
  state->fields.heading("Evaluate");
  describe(*app, state->fields, state->flags, {.split = true, .images = true, .several_models = true});
  set_examples(*app,
               "  aot eval segmentation --model run --data data/shapes\n"
               "  aot eval segmentation --model aot-mssa --model vit --data data/shapes --images 400 --json\n");
  state->fields.add_flags(*app);
  app->callback([state, &general = command.general] {
    resolve(state->fields);
    run(state->flags, general);
  });
}

}  // namespace aot
