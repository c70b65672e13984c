// SPDX-License-Identifier: Apache-2.0
#include "aot/explain/heat_maps.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include "aot/core/log.h"
#include "aot/core/svg.h"
#include "aot/data/contact_sheet.h"
#include "aot/data/view.h"
#include "aot/explain/attention_maps.h"
#include "aot/explain/page.h"
#include "aot/io/error.h"

namespace aot {
namespace {

constexpr int64_t kLeastSide = 96, kMostSide = 192;  // of a picture on a sheet
constexpr double kPictureShare = .4;                 // of the picture's grey in an overlay

/// From dark to light, monotone in lightness, so that it prints in grey.
std::array<double, 3> heat_colour(double share) {
  constexpr std::array<std::array<double, 3>, 5> kStops = {{{20, 11, 52}, {101, 21, 110}, {188, 55, 84}, {249, 142, 9}, {252, 255, 164}}};
  const double at = std::clamp(share, 0.0, 1.0) * (kStops.size() - 1);
  const auto stop = std::min(static_cast<size_t>(at), kStops.size() - 2);
  const double rest = at - static_cast<double>(stop);
  std::array<double, 3> out;
  for (size_t c = 0; c < 3; ++c) out[c] = kStops[stop][c] * (1 - rest) + kStops[stop + 1][c] * rest;
  return out;
}

/// The picture in three channels at (side, side).
Image enlarged(const Image& picture, int64_t side) {
  Image resized, out;
  resize_image(picture, {0, 0, static_cast<double>(picture.height), static_cast<double>(picture.width)}, side, side, resized);
  if (resized.channels == 3) return resized;
  out.reshape(side, side, 3);
  for (size_t i = 0; i < out.pixels.size(); ++i) out.pixels[i] = resized.pixels[i / 3];
  return out;
}

/// Draws the edge of `mask` (size, size) into a picture in white.
void draw_edge(const std::vector<uint8_t>& mask, int64_t size, Image& picture) {
  const auto inside = [&](int64_t y, int64_t x) {
    return mask[static_cast<size_t>(y * size / picture.height * size + x * size / picture.width)];
  };
  for (int64_t y = 0; y + 1 < picture.height; ++y)
    for (int64_t x = 0; x + 1 < picture.width; ++x)
      if (inside(y, x) != inside(y + 1, x) || inside(y, x) != inside(y, x + 1))
        std::fill_n(picture.pixels.begin() + (y * picture.width + x) * picture.channels, picture.channels, uint8_t{255});
}

/// Share of attention on the object over the object's share of the picture, (K,), for maps (B, K, side, side) and masks (B, S, S).
std::vector<double> gain_of(const at::Tensor& maps, const at::Tensor& masks) {
  const at::Tensor object = at::adaptive_avg_pool2d(masks.unsqueeze(1), {maps.size(2), maps.size(3)});  // (B, 1, side, side)
  const at::Tensor share = (maps * object).sum({2, 3}) / maps.sum({2, 3}).clamp_min(1e-30);             // (B, K)
  const at::Tensor gain = (share / object.mean({2, 3}).clamp_min(1e-9)).mean(0).to(at::kDouble);
  return {gain.data_ptr<double>(), gain.data_ptr<double>() + gain.size(0)};
}

/// The pictures and masks that stand beside the maps.
struct Shown {
  std::vector<Image> pictures;  // (side, side, 3)
  std::vector<std::vector<uint8_t>> masks;
  at::Tensor mask_tensor;  // (N, S, S) float32
};

Shown read_shown(const ImageSplit& split, const PictureReading& reading, int64_t size, int64_t side) {
  const int64_t count = picture_count(split, reading), shorter = std::max(reading.resize, size);
  Shown out;
  if (split.has_masks()) out.mask_tensor = at::zeros({count, size, size}, at::kFloat);
  Image picture, scratch;
  std::vector<uint8_t> mask, whole_mask;
  for (int64_t i = 0; i < count; ++i) {
    read_middle(split, i, shorter, size, picture, scratch);
    out.pictures.push_back(enlarged(picture, side));
    if (!split.has_masks()) continue;
    read_middle_mask(split, i, shorter, size, mask, whole_mask);
    out.mask_tensor[i].copy_(at::from_blob(mask.data(), {size, size}, at::kByte));
    out.masks.push_back(mask);
  }
  return out;
}

HeatMapLayer draw_layer(const at::Tensor& maps, const Shown& shown, int64_t size, int64_t side) {
  const int64_t images = maps.size(0), heads = maps.size(1), columns = heads + 2;
  HeatMapLayer out;
  Sheet sheet(columns, images, side, 3);
  const at::Tensor wide = shown_maps(at::cat({maps, maps.mean(1, true)}, 1), side);  // (N, K + 1, side, side)
  for (int64_t i = 0; i < images; ++i) {
    const Image& picture = shown.pictures[static_cast<size_t>(i)];
    sheet.place(picture, i * columns);
    for (int64_t k = 0; k <= heads; ++k) {
      Image tile = overlay(picture, wide[i][k]);
      if (!shown.masks.empty()) draw_edge(shown.masks[static_cast<size_t>(i)], size, tile);
      sheet.place(tile, i * columns + 1 + k);
    }
  }
  out.sheet = sheet.image();
  if (shown.mask_tensor.defined()) out.gain = gain_of(maps, shown.mask_tensor);
  return out;
}

}  // namespace

Image overlay(const Image& picture, const at::Tensor& map) {
  const at::Tensor values = map.to(at::kCPU, at::kFloat).contiguous();
  TORCH_CHECK_VALUE(values.dim() == 2 && values.size(0) == picture.height && values.size(1) == picture.width, "overlay: map must be (",
                    picture.height, ", ", picture.width, "), got ", map.sizes());
  Image out;
  out.reshape(picture.height, picture.width, 3);
  const int64_t channels = picture.channels;
  for (int64_t i = 0; i < values.numel(); ++i) {
    const uint8_t* pixel = picture.pixels.data() + i * channels;
    const double grey = channels == 3 ? brightness_of(pixel[0], pixel[1], pixel[2]) : pixel[0];
    const std::array<double, 3> colour = heat_colour(values.data_ptr<float>()[i]);
    for (size_t c = 0; c < 3; ++c)
      out.pixels[static_cast<size_t>(3 * i) + c] =
          static_cast<uint8_t>(std::lround(kPictureShare * grey + (1 - kPictureShare) * colour[c]));
  }
  return out;
}

std::optional<HeatMaps> draw_heat_maps(const VisionModel& model, const ImageSplit& split, const PictureReading& reading, int64_t layer,
                                       bool progress) {
  const VisionOptions& o = model.options();
  check_attention(model);
  if (layer >= o.layers) throw UsageError(str("--layer ", layer + 1, ": the model has ", o.layers, " layers"));
  const int64_t side =
      o.image_size < kLeastSide ? o.image_size * ((kLeastSide + o.image_size - 1) / o.image_size) : std::min(o.image_size, kMostSide);
  HeatMaps out{.options = o, .images = picture_count(split, reading), .masks = split.has_masks()};
  std::vector<std::vector<at::Tensor>> maps(static_cast<size_t>(o.layers));
  std::optional<Progress> line;
  if (progress) line.emplace("looking", static_cast<double>(out.images), "pictures");
  int64_t done = 0;
  const bool whole = for_each_batch(model, split, reading, [&](const at::Tensor& images, const at::Tensor&) {
    const std::vector<at::Tensor> batch = attention_maps(model, images);
    for (size_t l = 0; l < maps.size(); ++l) maps[l].push_back(batch[l]);
    done += images.size(0);
    if (line) line->update(static_cast<double>(done));
  });
  if (!whole) return std::nullopt;
  const Shown shown = read_shown(split, reading, o.image_size, side);
  for (int64_t l = 0; l < o.layers; ++l) {
    if (layer >= 0 && l != layer) continue;
    out.layers.push_back(draw_layer(at::cat(maps[static_cast<size_t>(l)], 0), shown, o.image_size, side));
    out.layers.back().layer = l;
  }
  return out;
}

std::string html(const HeatMaps& maps, const std::vector<std::string>& pngs) {
  const VisionOptions& o = maps.options;
  const bool class_token = o.pooling == Pooling::class_token;
  std::string out = "<h1>Where the heads of " + escaped_html(maps.title) + " look</h1>\n<dl>\n";
  out += fact("model", fmt::format("{}, {} x {}, {} heads of {}", o.mixer, o.width, o.layers, o.heads, o.head_dim));
  out += fact("patches", fmt::format("{0} x {0} of {1} pixels", o.image_size / o.patch, o.patch)) + "</dl>\n<p>";
  out += class_token ? "Each map is what the class token reads of each patch in that head, its reading of itself left out"
                     : "Each map is how much each patch is read by all patches in that head";
  out += ", spread over the pixels and scaled from its least (dark) to its most (yellow). The last column is the mean of the heads.";
  if (maps.masks)
    out +=
        " White lines are the edges of the object; numbers say how many times its share of the picture the object gets of the "
        "attention (1: as if the head looked everywhere alike).";
  out += "</p>\n";
  for (size_t i = 0; i < maps.layers.size(); ++i) {
    const HeatMapLayer& layer = maps.layers[i];
    out += fmt::format("<h2>Layer {}</h2>\n<div class=\"names\" style=\"grid-template-columns:repeat({},1fr)\"><span>picture</span>",
                       layer.layer + 1, o.heads + 2);
    for (int64_t k = 0; k < o.heads; ++k)
      out += fmt::format("<span>head {}{}</span>", k + 1,
                         layer.gain.empty() ? "" : fmt::format("<br>{:.2f}", layer.gain[static_cast<size_t>(k)]));
    out += "<span>mean</span></div>\n" + embedded(pngs[i]);
  }
  return page("Heads of " + maps.title, out,
              "img{width:100%;image-rendering:auto}.names{display:grid;text-align:center;font-size:.85rem;color:#444;line-height:1.2}");
}

}  // namespace aot
