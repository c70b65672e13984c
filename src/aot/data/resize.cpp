// SPDX-License-Identifier: Apache-2.0
#include "aot/data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "aot/core/clones.h"
#include "aot/io/error.h"

namespace aot {
namespace {

constexpr int64_t kLanes = 4;  // the channels of a pixel in one vector, whatever their number

/// Keys' cubic with a = -1/2.
double cubic(double x) {
  constexpr double a = -.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/// For each output place, which inputs it is a weighted mean of.
struct Weights {
  int64_t taps = 0;            // the most inputs of one output
  std::vector<int64_t> first;  // per output: the first input
  std::vector<int64_t> count;  // per output: how many
  std::vector<float> weight;   // (outputs, taps)
};

/// How outputs lie over inputs: output i is centred at start + (i + 1/2) scale and may read the inputs lowest, ..., highest - 1.
struct Axis {
  double start = 0, scale = 1;
  int64_t outputs = 0, lowest = 0, highest = 0;
};

Weights weights_of(const Axis& axis) {
  const double stretch = std::max(axis.scale, 1.0), support = 2 * stretch;
  Weights weights;
  weights.taps = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  weights.weight.resize(static_cast<size_t>(axis.outputs * weights.taps));
  for (int64_t i = 0; i < axis.outputs; ++i) {
    const double centre = axis.start + (static_cast<double>(i) + .5) * axis.scale;
    const int64_t first = std::max(axis.lowest, static_cast<int64_t>(std::floor(centre - support + .5)));
    const int64_t end = std::min(axis.highest, static_cast<int64_t>(std::floor(centre + support + .5)));
    float* out = weights.weight.data() + i * weights.taps;
    double sum = 0;
    for (int64_t j = first; j < end; ++j) sum += cubic((static_cast<double>(j) + .5 - centre) / stretch);
    for (int64_t j = first; j < end; ++j)
      out[j - first] = static_cast<float>(cubic((static_cast<double>(j) + .5 - centre) / stretch) / sum);
    weights.first.push_back(first);
    weights.count.push_back(end - first);
  }
  return weights;
}

/// into[i] = sum_k weight[k] rows[k * stride + i].
AOT_CLONES void mix_rows(const uint8_t* rows, int64_t stride, const float* weight, int64_t count, int64_t length, float* into) {
  for (int64_t i = 0; i < length; ++i) into[i] = weight[0] * static_cast<float>(rows[i]);
  for (int64_t k = 1; k < count; ++k)
    for (int64_t i = 0; i < length; ++i) into[i] += weight[k] * static_cast<float>(rows[k * stride + i]);
}

/// One row of outputs from a row of inputs behind which kLanes more floats may be read.
template <int64_t kChannels>
AOT_INLINE void mix_columns(const float* row, const Weights& weights, int64_t skipped, int64_t outputs, uint8_t* into) {
  for (int64_t x = 0; x < outputs; ++x) {
    const float* weight = weights.weight.data() + x * weights.taps;
    const float* in = row + (weights.first[static_cast<size_t>(x)] - skipped) * kChannels;
    float sum[kLanes] = {};
    for (int64_t k = 0; k < weights.count[static_cast<size_t>(x)]; ++k)
      for (int64_t c = 0; c < kLanes; ++c) sum[c] += weight[k] * in[k * kChannels + c];
    for (int64_t c = 0; c < kChannels; ++c) into[x * kChannels + c] = static_cast<uint8_t>(std::clamp(sum[c] + .5F, 0.F, 255.F));
  }
}

AOT_CLONES void mix_grey_columns(const float* row, const Weights& weights, int64_t skipped, int64_t outputs, uint8_t* into) {
  mix_columns<1>(row, weights, skipped, outputs, into);
}

AOT_CLONES void mix_colour_columns(const float* row, const Weights& weights, int64_t skipped, int64_t outputs, uint8_t* into) {
  mix_columns<3>(row, weights, skipped, outputs, into);
}

void resize(const Image& image, const Axis& downwards, const Axis& sidewards, Image& into) {
  const Weights down = weights_of(downwards), across = weights_of(sidewards);
  const int64_t height = downwards.outputs, width = sidewards.outputs, channels = image.channels, stride = image.width * channels;
  // The columns that any output needs.
  const int64_t first = across.first.front(), columns = across.first.back() + across.count.back() - first;
  std::vector<float> row(static_cast<size_t>(columns * channels + kLanes));
  into.reshape(height, width, channels);
  for (int64_t y = 0; y < height; ++y) {
    const auto at = static_cast<size_t>(y);
    mix_rows(image.pixels.data() + down.first[at] * stride + first * channels, stride, down.weight.data() + y * down.taps, down.count[at],
             columns * channels, row.data());
    uint8_t* out = into.pixels.data() + y * width * channels;
    if (channels == 3)
      mix_colour_columns(row.data(), across, first, width, out);
    else
      mix_grey_columns(row.data(), across, first, width, out);
  }
}

Axis axis_of_part(double start, double length, int64_t inputs, int64_t outputs) {
  if (!(start >= 0 && length > 0 && start + length <= static_cast<double>(inputs)) || outputs < 1)
    throw Error(ExitCode::failed, str("resize of ", length, " pixels from ", start, " of ", inputs, " to ", outputs));
  return {start, length / static_cast<double>(outputs), outputs, static_cast<int64_t>(std::floor(start)),
          std::min(inputs, static_cast<int64_t>(std::ceil(start + length)))};
}

/// The middle `outputs` of an axis of `inputs` pixels that is resized to `resized`.
Axis axis_of_middle(int64_t inputs, int64_t resized, int64_t outputs) {
  const double scale = static_cast<double>(inputs) / static_cast<double>(resized);
  return {std::nearbyint(static_cast<double>(resized - outputs) / 2) * scale, scale, outputs, 0, inputs};
}

}  // namespace

void resize_image(const Image& image, const Box& box, int64_t height, int64_t width, Image& into) {
  resize(image, axis_of_part(box.top, box.height, image.height, height), axis_of_part(box.left, box.width, image.width, width), into);
}

void resize_and_crop(const Image& image, int64_t shorter, int64_t height, int64_t width, Image& into) {
  if (height < 1 || width < 1 || height > shorter || width > shorter)
    throw Error(ExitCode::failed, str("crop of ", height, " x ", width, " from an image resized to ", shorter));
  const int64_t shortest = std::min(image.height, image.width);
  resize(image, axis_of_middle(image.height, shorter * image.height / shortest, height),
         axis_of_middle(image.width, shorter * image.width / shortest, width), into);
}

}  // namespace aot
