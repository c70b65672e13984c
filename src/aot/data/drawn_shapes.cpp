// SPDX-License-Identifier: Apache-2.0
// One textured shape on a textured ground, with the mask of its pixels. Colour, texture, size, place and angle tell nothing of the class.
#include <vector>

#include "aot/data/drawing.h"
#include "aot/data/image_make.h"

namespace aot {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr int kSamples = 4;  // per pixel and direction, for smooth edges

using Colour = std::array<double, 3>;

const char* const kClasses[] = {"disk", "ring", "half-disk", "square", "bar", "triangle", "star", "cross"};
constexpr int64_t kClassCount = std::size(kClasses);

/// Whether `p` lies in the shape, which has about the area of the unit square around the origin.
bool is_inside(int64_t shape, Point p) {
  const double r = std::hypot(p.x, p.y);
  switch (shape) {
    case 0:
      return r < .56;
    case 1:
      return r < .66 && r > .34;
    case 2:
      return std::hypot(p.x, p.y + .32) < .78 && p.y > -.32;
    case 3:
      return std::max(std::abs(p.x), std::abs(p.y)) < .5;
    case 4:
      return std::abs(p.x) < .85 && std::abs(p.y) < .26;
    case 5:
      return p.y < .42 && p.y > 1.73205 * std::abs(p.x) - .84;
    case 6: {  // five points: the angle folded to half a point, then one straight edge
      double a = std::fmod(std::atan2(p.x, -p.y) + 2 * kPi, .4 * kPi);
      a = std::min(a, .4 * kPi - a);
      const Point tip = {0, .82}, dent = {.36 * std::sin(.2 * kPi), .36 * std::cos(.2 * kPi)}, q = {r * std::sin(a), r * std::cos(a)};
      return (dent.x - tip.x) * (q.y - tip.y) - (dent.y - tip.y) * (q.x - tip.x) < 0;
    }
    default:
      return (std::abs(p.x) < .22 && std::abs(p.y) < .7) || (std::abs(p.y) < .22 && std::abs(p.x) < .7);
  }
}

/// A hue of full colour, mixed towards grey and scaled.
Colour draw_colour(Random& random) {
  const double hue = 6 * random.uniform(), saturation = draw_between(random, .15, .9), value = draw_between(random, .25, 1);
  Colour colour;
  for (size_t c = 0; c < 3; ++c) {
    const double k = std::fmod(5 - 2 * static_cast<double>(c) + hue, 6);
    colour[c] = value * (1 - saturation * std::clamp(std::min(k, 4 - k), 0.0, 1.0));
  }
  return colour;
}

double difference(const Colour& a, const Colour& b) {
  return std::abs(a[0] - b[0]) + std::abs(a[1] - b[1]) + std::abs(a[2] - b[2]);
}

/// A pattern over the plane in two colours.
class Texture {
 public:
  Texture(Random& random, const Colour& first, const Colour& second)
      : first_(first),
        second_(second),
        kind_(random.below(5)),
        angle_(draw_between(random, 0, kPi)),
        period_(draw_between(random, .07, .25)),
        phase_(random.uniform()),
        seed_(random.next()) {}

  /// `p` in units of the image's side.
  [[nodiscard]] Colour at(Point p) const {
    const double t = mix(p);
    Colour colour;
    for (size_t c = 0; c < 3; ++c) colour[c] = first_[c] + t * (second_[c] - first_[c]);
    return colour;
  }

 private:
  [[nodiscard]] double mix(Point p) const {
    const Point q = rotated(p, angle_);
    const double u = q.x / period_ + phase_, v = q.y / period_ + phase_;
    switch (kind_) {
      case 0:  // stripes
        return .5 + .5 * std::tanh(3 * std::sin(2 * kPi * u));
      case 1:  // chequers
        return .5 + .5 * std::tanh(6 * std::sin(kPi * u) * std::sin(kPi * v));
      case 2:  // spots
        return .5 + .5 * std::tanh(8 * (.3 - std::hypot(u - std::round(u), v - std::round(v))));
      case 3:  // a slope from one side to the other
        return .5 + .7 * q.x;
      default:  // clouds
        return std::clamp(.5 + 1.6 * (.6 * noise(u * .5, v * .5, 0) + .4 * noise(u, v, 1) - .5), 0.0, 1.0);
    }
  }

  /// Value noise: random numbers on the integer lattice, joined smoothly.
  [[nodiscard]] double noise(double u, double v, uint64_t layer) const {
    const double u0 = std::floor(u), v0 = std::floor(v);
    const auto smooth = [](double t) { return t * t * (3 - 2 * t); };
    const auto value = [&](double i, double j) {
      const auto place = static_cast<uint64_t>(static_cast<int64_t>(i) * 65'536 + static_cast<int64_t>(j));
      return Random(derive_seed(seed_ + layer, "lattice", place)).uniform();
    };
    const double s = smooth(u - u0), t = smooth(v - v0);
    const double top = value(u0, v0) * (1 - s) + value(u0 + 1, v0) * s;
    const double bottom = value(u0, v0 + 1) * (1 - s) + value(u0 + 1, v0 + 1) * s;
    return top * (1 - t) + bottom * t;
  }

  Colour first_, second_;
  uint64_t kind_;
  double angle_, period_, phase_;
  uint64_t seed_;
};

/// Colours of the ground and of the shape; each of the shape's is well apart from both of the ground's.
std::array<Colour, 4> draw_colours(Random& random) {
  const Colour ground = draw_colour(random);
  const auto near = [&random](const Colour& colour) {
    Colour other;
    for (size_t c = 0; c < 3; ++c) other[c] = std::clamp(colour[c] + draw_between(random, -.3, .3), 0.0, 1.0);
    return other;
  };
  const Colour second = near(ground);
  for (;;) {
    const Colour shape = draw_colour(random), other = near(shape);
    const bool apart =
        std::min({difference(shape, ground), difference(shape, second), difference(other, ground), difference(other, second)}) > .7;
    if (apart) return {ground, second, shape, other};
  }
}

class DrawnShapes final : public ImageSource {
 public:
  DrawnShapes(int64_t count, int64_t side, uint64_t seed) : count_(count), side_(side), seed_(seed) {}
  [[nodiscard]] int64_t size() const override { return count_; }

  bool next(LabelledImage& into) override {
    Random random(derive_seed(seed_, "drawn shape", static_cast<uint64_t>(drawn_++)));
    into.label = static_cast<int64_t>(random.below(kClassCount));
    const std::array<Colour, 4> colours = draw_colours(random);
    const Texture ground(random, colours[0], colours[1]), shape(random, colours[2], colours[3]);
    const double size = draw_between(random, .3, .5), angle = draw_between(random, 0, 2 * kPi), reach = .5 - .8 * size;
    const Point centre = {.5 + draw_between(random, -reach, reach), .5 + draw_between(random, -reach, reach)};
    into.image.reshape(side_, side_, 3);
    into.mask.resize(static_cast<size_t>(side_ * side_));
    const auto side = static_cast<double>(side_);
    for (int64_t y = 0; y < side_; ++y)
      for (int64_t x = 0; x < side_; ++x) {
        int inside = 0;
        for (int sample = 0; sample < kSamples * kSamples; ++sample) {
          const double dx = (sample % kSamples + .5) / kSamples, dy = (sample / kSamples + .5) / kSamples;  // NOLINT: whole division
          const Point p = {(static_cast<double>(x) + dx) / side - centre.x, (static_cast<double>(y) + dy) / side - centre.y};
          inside += is_inside(into.label, rotated({p.x / size, p.y / size}, -angle)) ? 1 : 0;
        }
        const double share = static_cast<double>(inside) / (kSamples * kSamples);
        const Point p = {(static_cast<double>(x) + .5) / side, (static_cast<double>(y) + .5) / side};
        const Colour below = ground.at(p), above = shape.at(p);
        const auto at = static_cast<size_t>(y * side_ + x);
        for (size_t c = 0; c < 3; ++c) into.image.pixels[3 * at + c] = pixel_of(below[c] + share * (above[c] - below[c]));
        into.mask[at] = share >= .5 ? 1 : 0;
      }
    return true;
  }

 private:
  int64_t count_, side_, drawn_ = 0;
  uint64_t seed_;
};

}  // namespace

ImageSources drawn_shapes(int64_t count, int64_t side, uint64_t seed) {
  ImageSources sources;
  sources.train = std::make_unique<DrawnShapes>(count, side, seed);
  sources.classes.assign(std::begin(kClasses), std::end(kClasses));
  return sources;
}

}  // namespace aot
