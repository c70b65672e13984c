// SPDX-License-Identifier: Apache-2.0
// Digits drawn with a round pen along smooth strokes, whose points, slant, size, place and width vary.
#include <limits>
#include <vector>

#include "aot/data/drawing.h"
#include "aot/data/image_make.h"

namespace aot {
namespace {

using Stroke = std::vector<Point>;  // in the unit square, y downwards; joined by a Catmull-Rom spline

/// The ways in which people write a digit.
const std::vector<std::vector<Stroke>>& writings_of(int64_t digit) {
  static const std::array<std::vector<std::vector<Stroke>>, 10> kWritings = {{
      {{{{.5, .04}, {.24, .2}, {.15, .55}, {.3, .9}, {.56, .96}, {.8, .7}, {.82, .32}, {.66, .08}, {.5, .04}}}},
      {{{{.52, .04}, {.5, .5}, {.48, .96}}}, {{{.3, .26}, {.55, .04}}, {{.55, .04}, {.53, .5}, {.52, .96}}}},
      {{{{.2, .26}, {.36, .07}, {.64, .07}, {.76, .28}, {.58, .58}, {.18, .92}}, {{.18, .92}, {.5, .9}, {.84, .92}}},
       {{{.2, .26}, {.4, .06}, {.68, .12}, {.7, .38}, {.45, .74}, {.22, .93}, {.16, .8}, {.34, .78}, {.6, .92}, {.86, .9}}}},
      {{{{.22, .14}, {.5, .04}, {.74, .2}, {.66, .4}, {.42, .48}}, {{.42, .48}, {.74, .56}, {.78, .8}, {.52, .97}, {.2, .86}}},
       {{{.2, .07}, {.5, .06}, {.78, .07}}, {{.78, .07}, {.46, .42}}, {{.46, .42}, {.76, .54}, {.76, .84}, {.5, .97}, {.2, .86}}}},
      {{{{.6, .05}, {.4, .35}, {.16, .64}}, {{.16, .64}, {.5, .63}, {.86, .62}}, {{.66, .36}, {.64, .66}, {.62, .97}}},
       {{{.26, .06}, {.22, .3}, {.22, .5}}, {{.22, .5}, {.5, .54}, {.78, .48}}, {{.76, .06}, {.76, .5}, {.74, .97}}}},
      {{{{.8, .06}, {.55, .07}, {.3, .08}},
        {{.3, .08}, {.28, .26}, {.26, .44}},
        {{.26, .44}, {.54, .38}, {.8, .6}, {.7, .88}, {.4, .97}, {.18, .86}}}},
      {{{{.7, .05}, {.4, .26}, {.22, .6}, {.3, .9}, {.58, .96}, {.78, .76}, {.64, .54}, {.4, .56}, {.24, .74}}}},
      {{{{.16, .1}, {.5, .1}, {.82, .08}}, {{.82, .08}, {.58, .48}, {.42, .96}}},
       {{{.16, .1}, {.5, .1}, {.82, .08}}, {{.82, .08}, {.58, .48}, {.42, .96}}, {{.36, .5}, {.54, .49}, {.74, .5}}}},
      {{{{.72, .2}, {.5, .04}, {.28, .18}, {.38, .4}, {.68, .62}, {.74, .86}, {.48, .97}, {.24, .86}, {.34, .6}, {.64, .4}, {.72, .2}}}},
      {{{{.76, .26}, {.52, .05}, {.26, .2}, {.3, .44}, {.58, .48}, {.76, .26}}, {{.76, .26}, {.74, .6}, {.62, .97}}}},
  }};
  return kWritings[static_cast<size_t>(digit)];
}

/// The pen's way along one stroke, as short straight pieces.
std::vector<Point> spline(const Stroke& stroke) {
  constexpr int kPieces = 8;
  const auto at = [&stroke](std::ptrdiff_t i) {
    return stroke[static_cast<size_t>(std::clamp<std::ptrdiff_t>(i, 0, static_cast<std::ptrdiff_t>(stroke.size()) - 1))];
  };
  std::vector<Point> way;
  for (std::ptrdiff_t i = 0; i + 1 < static_cast<std::ptrdiff_t>(stroke.size()); ++i) {
    const Point a = at(i - 1), b = at(i), c = at(i + 1), d = at(i + 2);
    for (int piece = 0; piece < kPieces; ++piece) {
      const double t = static_cast<double>(piece) / kPieces;
      const auto value = [t](double p, double q, double r, double s) {  // Catmull and Rom 1974, tension 1/2
        return .5 * (2 * q + t * (r - p + t * (2 * p - 5 * q + 4 * r - s + t * (3 * q - p - 3 * r + s))));
      };
      way.push_back({value(a.x, b.x, c.x, d.x), value(a.y, b.y, c.y, d.y)});
    }
  }
  way.push_back(stroke.back());
  return way;
}

double distance_to_piece(Point p, Point a, Point b) {
  const double dx = b.x - a.x, dy = b.y - a.y, squared = dx * dx + dy * dy;
  const double t = squared > 0 ? std::clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / squared, 0.0, 1.0) : 0;
  return std::hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}

class DrawnDigits final : public ImageSource {
 public:
  DrawnDigits(int64_t count, int64_t side, uint64_t seed) : count_(count), side_(side), seed_(seed) {}
  [[nodiscard]] int64_t size() const override { return count_; }

  bool next(LabelledImage& into) override {
    Random random(derive_seed(seed_, "drawn digit", static_cast<uint64_t>(drawn_++)));
    into.label = static_cast<int64_t>(random.below(10));
    const std::vector<std::vector<Point>> ways = draw_ways(random, into.label);
    const auto side = static_cast<double>(side_);
    const double radius = side * draw_between(random, .028, .058), ink = draw_between(random, .85, 1), edge = std::max(1.0, side / 28);
    into.image.reshape(side_, side_, 1);
    for (int64_t y = 0; y < side_; ++y)
      for (int64_t x = 0; x < side_; ++x) {
        const Point here = {static_cast<double>(x) + .5, static_cast<double>(y) + .5};
        double nearest = std::numeric_limits<double>::infinity();
        for (const std::vector<Point>& way : ways)
          for (size_t i = 0; i + 1 < way.size(); ++i) nearest = std::min(nearest, distance_to_piece(here, way[i], way[i + 1]));
        into.image.pixels[static_cast<size_t>(y * side_ + x)] = pixel_of(ink * std::clamp((radius - nearest) / edge + .5, 0.0, 1.0));
      }
    return true;
  }

 private:
  /// The strokes of one digit in pixels.
  [[nodiscard]] std::vector<std::vector<Point>> draw_ways(Random& random, int64_t digit) const {
    const std::vector<std::vector<Stroke>>& writings = writings_of(digit);
    std::vector<Stroke> strokes = writings[random.below(writings.size())];
    const double angle = draw_between(random, -.22, .22), slant = draw_between(random, -.1, .35), narrow = draw_between(random, .6, .95);
    const auto side = static_cast<double>(side_);
    const double size = side * draw_between(random, .58, .76), move = side * .06;
    const Point centre = {side / 2 + draw_between(random, -move, move), side / 2 + draw_between(random, -move, move)};
    // Points that coincide, such as where one stroke begins at the end of another, move together.
    const double wobble = .035;
    const uint64_t wobble_seed = random.next();
    std::vector<std::vector<Point>> ways;
    for (Stroke& stroke : strokes) {
      for (Point& p : stroke) {
        Random own(derive_seed(wobble_seed, "point", static_cast<uint64_t>(p.x * 1000) * 1000 + static_cast<uint64_t>(p.y * 1000)));
        p.x += draw_between(own, -wobble, wobble);
        p.y += draw_between(own, -wobble, wobble);
        const Point upright = {(p.x - .5) * narrow - slant * (p.y - .5), p.y - .5};
        const Point turned = rotated(upright, angle);
        p = {centre.x + size * turned.x, centre.y + size * turned.y};
      }
      ways.push_back(spline(stroke));
    }
    return ways;
  }

  int64_t count_, side_, drawn_ = 0;
  uint64_t seed_;
};

}  // namespace

ImageSources drawn_digits(int64_t count, int64_t side, uint64_t seed) {
  ImageSources sources;
  sources.train = std::make_unique<DrawnDigits>(count, side, seed);
  for (int digit = 0; digit < 10; ++digit) sources.classes.push_back(std::to_string(digit));
  return sources;
}

}  // namespace aot
