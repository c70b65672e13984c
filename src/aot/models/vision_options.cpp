// SPDX-License-Identifier: Apache-2.0
#include "aot/io/error.h"
#include "aot/models/stack_options.h"
#include "aot/models/vision.h"

namespace aot {

void describe(Fields& fields, VisionOptions& options) {
  describe_layers(fields, options, {{"attention-only", BlockKind::attention_only}, {"vit", BlockKind::mlp}, {"crate", BlockKind::ista}},
                  "attention alone, with an MLP after it (ViT, ToST), or with CRATE's shrinkage step");
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
  describe_branches(fields, options, "biases in the linear maps of blocks");
  describe_dropout(fields, options);
}

VisionOptions resolved(VisionOptions options) {
  resolve_heads(options);
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
