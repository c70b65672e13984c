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

using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

AOT_INLINE Lanes load(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

/// One row of outputs from a row of inputs. Behind both kLanes more floats may be read and written: a pixel's spare lanes are the next
/// one's.
template <int64_t kChannels>
AOT_INLINE void mix_columns(const float* row, const Weights& weights, int64_t skipped, int64_t outputs, float* into) {
  const float* weight = weights.weight.data();
  const int64_t *first = weights.first.data(), *counts = weights.count.data();
  for (int64_t x = 0; x < outputs; ++x, weight += weights.taps) {
    const float* in = row + (first[x] - skipped) * kChannels;
    const int64_t count = counts[x];
    Lanes even = {}, odd = {};  // two sums: an addition need not wait for the one before it
    int64_t k = 0;
    for (; k + 1 < count; k += 2) {
      even += weight[k] * load(in + k * kChannels);
      odd += weight[k + 1] * load(in + (k + 1) * kChannels);
    }
    if (k < count) even += weight[k] * load(in + k * kChannels);
    const Lanes sum = even + odd;
    std::memcpy(into + x * kChannels, &sum, sizeof sum);
  }
}

AOT_CLONES void mix_grey_columns(const float* row, const Weights& weights, int64_t skipped, int64_t outputs, float* into) {
  mix_columns<1>(row, weights, skipped, outputs, into);
}

AOT_CLONES void mix_colour_columns(const float* row, const Weights& weights, int64_t skipped, int64_t outputs, float* into) {
  mix_columns<3>(row, weights, skipped, outputs, into);
}

AOT_CLONES void round_row(const float* from, int64_t length, uint8_t* into) {
  for (int64_t i = 0; i < length; ++i) {
    const float value = from[i] + .5F, positive = value > 0 ? value : 0;
    into[i] = static_cast<uint8_t>(static_cast<int32_t>(positive < 255 ? positive : 255));
  }
}

void resize(const Image& image, const Axis& downwards, const Axis& sidewards, Image& into) {
  const Weights down = weights_of(downwards), across = weights_of(sidewards);
  const int64_t height = downwards.outputs, width = sidewards.outputs, channels = image.channels, stride = image.width * channels;
  // The columns that any output needs.
  const int64_t first = across.first.front(), columns = across.first.back() + across.count.back() - first;
  std::vector<float> row(static_cast<size_t>(columns * channels + kLanes)), mixed(static_cast<size_t>(width * channels + kLanes));
  into.reshape(height, width, channels);
  for (int64_t y = 0; y < height; ++y) {
    const auto at = static_cast<size_t>(y);
    mix_rows(image.pixels.data() + down.first[at] * stride + first * channels, stride, down.weight.data() + y * down.taps, down.count[at],
             columns * channels, row.data());
    (channels == 3 ? mix_colour_columns : mix_grey_columns)(row.data(), across, first, width, mixed.data());
    round_row(mixed.data(), width * channels, into.pixels.data() + y * width * channels);
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
