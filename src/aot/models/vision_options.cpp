// SPDX-License-Identifier: Apache-2.0
#include "aot/io/error.h"
#include "aot/models/vision.h"

namespace aot {

void describe(Fields& fields, VisionOptions& options) {
  constexpr double kWidest = 1 << 18;  // as in language models
  std::vector<std::string> mixers;
  for (const MixerEntry& entry : mixer_catalogue()) mixers.push_back(entry.name);

  fields.heading("Model");
  fields.add("mixer", options.mixer, "token mixer; `aot mixers list` describes them").choices(mixers);
  fields.add("block", options.block, {{"attention-only", BlockKind::attention_only}, {"vit", BlockKind::mlp}, {"crate", BlockKind::ista}},
             "attention alone, with an MLP after it (ViT, ToST), or with CRATE's shrinkage step");
  fields.add("width", options.width, "D, numbers per token").min(1).max(kWidest);
  fields.add("layers", options.layers, "L, blocks").min(1).max(1 << 14);
  fields.add("heads", options.heads, "K, subspaces").min(1).max(kWidest);
  fields.add("head-dim", options.head_dim, "P, dimensions of a subspace; 0: width / heads").min(0).max(kWidest);
  fields.add("image-size", options.image_size, "side of the pictures in pixels; 0: the data's").min(0).max(1 << 14);
  fields.add("channels", options.channels, "C, numbers a pixel; 0: the data's").min(0).max(1 << 10);
  fields.add("classes", options.classes, "Q, kinds of pictures; 0: the data's").min(0).max(1 << 20);
  fields.add("patch", options.patch, "s, side of a patch in pixels").min(1).max(1 << 10);
  fields.add("stem", options.stem, {{"linear", Stem::linear}, {"normed", Stem::normed}},
             "patches through a linear map, or with norms around");
  fields.add("pooling", options.pooling, {{"class-token", Pooling::class_token}, {"mean", Pooling::mean}}, "what the head reads");
  fields.add("position", options.position,
             {{"learned", PicturePosition::learned},
              {"sincos", PicturePosition::sincos},
              {"rotary", PicturePosition::rotary},
              {"none", PicturePosition::none}},
             "positions of patches: added to them, or turning queries and keys by row and column");
  fields.add("output", options.output, {{"tied", Output::tied}, {"untied", Output::untied}}, "heads return through U^T, or a free matrix");
  fields.add("gate", options.gate, {{"none", Gate::none}, {"silu", Gate::silu}}, "multiply heads by silu(x W_g); ours, not the paper's");
  fields.add("norm", options.norm, {{"layer", NormKind::layer}, {"rms", NormKind::rms}, {"none", NormKind::none}}, "before each branch");
  fields.add("bias", options.bias, "biases in the linear maps of blocks");
  fields.add("step-size", options.step_size, {{"fixed", StepSize::fixed}, {"scalar", StepSize::scalar}, {"channel", StepSize::channel}},
             "eta: a constant, one learnt number a layer, one a channel");
  fields.add("step-init", options.step_init, "eta, or where it starts");
  fields.add("dropout", options.dropout, "on embedding and updates while training").min(0).max(0.999);
}

VisionOptions resolved(VisionOptions options) {
  if (options.head_dim == 0) {
    if (options.width % options.heads != 0)
      throw UsageError(str("width ", options.width, " is not divisible by ", options.heads, " heads"), "choose --heads or give --head-dim");
    options.head_dim = options.width / options.heads;
  }
  if (options.heads * options.head_dim > 1 << 18)
    throw UsageError(str(options.heads, " heads of ", options.head_dim, " are more than ", 1 << 18, " numbers per token"),
                     "lower --heads or --head-dim");
  if (options.image_size < 1 || options.channels < 1 || options.classes < 1)
    throw UsageError("the size, channels or classes of the pictures are not known", "give --image-size, --channels and --classes");
  if (options.image_size % options.patch != 0)
    throw UsageError(str("patches of ", options.patch, " do not divide pictures of ", options.image_size, " pixels"),
                     "choose --patch or --image-size");
  if (options.channels * options.patch * options.patch > 1 << 22)
    throw UsageError("a patch has more than 4194304 numbers", "lower --patch");
  if (options.tokens() > 1 << 20)
    throw UsageError(str(options.tokens(), " tokens a picture are more than ", 1 << 20), "raise --patch or lower --image-size");
  if (options.position == PicturePosition::rotary && options.head_dim % 4 != 0)
    throw UsageError(str("rotary positions of pictures need a head dimension that 4 divides (found ", options.head_dim, ")"),
                     "choose --head-dim or --position");
  if (options.position == PicturePosition::sincos && options.width % 4 != 0)
    throw UsageError(str("sincos positions of pictures need a width that 4 divides (found ", options.width, ")"),
                     "choose --width or --position");
  return options;
}

}  // namespace aot
