// SPDX-License-Identifier: Apache-2.0
#include "aot/io/image_file.h"

#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>
#include <zlib.h>

#include <gtest/gtest.h>

#include "aot/io/file.h"
#include "aot/io/json.h"
#include "tests/support/files.h"

namespace aot {
namespace {

std::string from_base64(const std::string& text) {
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t value = std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/").find(c);
    if (value == std::string_view::npos) break;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 255);
  }
  return bytes;
}

const Json& golden() {
  static const Json json = [] {
    const std::string path = std::string(std::getenv("AOT_SOURCE")) + "/tests/golden/images/images.json";
    return parse_json(read_file(path, 1 << 20), path);
  }();
  return json;
}

std::string file_of(const std::string& name) {
  return from_base64(golden()["files"][name]["file"]);
}

std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string chunk(const std::string& kind, const std::string& data) {
  const std::string body = kind + data;
  const uint32_t sum = static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())));
  return big_endian(static_cast<uint32_t>(data.size())) + body + big_endian(sum);
}

std::string header(uint32_t width, uint32_t height, char depth = 8, char kind = 2, char interlace = 0) {
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", big_endian(width) + big_endian(height) + std::string{depth, kind, 0, 0, interlace});
}

std::string deflated(const std::string& bytes) {
  uLongf size = compressBound(bytes.size());
  std::string out(size, '\0');
  compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  return out.substr(0, size);
}

const std::string kEnd = chunk("IEND", "");

Image decoded(const std::string& bytes, int64_t channels = 3, int64_t shrink = 1) {
  Image image;
  decode_image(bytes, "x", channels, shrink, image);
  return image;
}

void expect_refused(std::string_view words, const std::string& bytes) {
  expect_error(3, words, [&] { decoded(bytes); });
}

/// A JPEG with the size in its frame header replaced.
std::string resized_header(std::string bytes, uint16_t height, uint16_t width) {
  for (size_t at = 2; at + 9 < bytes.size();) {
    const auto marker = static_cast<uint8_t>(bytes[at + 1]);
    if (marker >= 0xc0 && marker <= 0xc2) {
      bytes.replace(at + 5, 4, big_endian(uint32_t{height} << 16 | width));
      return bytes;
    }
    at += 2 + (static_cast<size_t>(static_cast<uint8_t>(bytes[at + 2])) << 8 | static_cast<uint8_t>(bytes[at + 3]));
  }
  return "no frame header";
}

TEST(ImageFile, EveryKindGivesThePixelsThatPillowReads) {
  ASSERT_GE(golden()["files"].size(), 20u);
  for (const auto& [name, row] : golden()["files"].items()) {
    const Image image = decoded(file_of(name));
    const ImageSize size = read_image_size(file_of(name), name);
    ASSERT_EQ(size.height, golden()["height"].get<int64_t>()) << name;
    ASSERT_EQ(size.width, golden()["width"].get<int64_t>()) << name;
    ASSERT_EQ(image.pixels.size(), row["pixels"].size()) << name;
    const int tolerance = name.find(".jpg") != std::string::npos ? 2 : 0;
    for (size_t i = 0; i < image.pixels.size(); ++i)
      ASSERT_NEAR(image.pixels[i], row["pixels"][i].get<int>(), tolerance) << name << " " << i;
  }
}

TEST(ImageFile, GreyIsTheBrightnessOfTheColours) {
  for (const char* name : {"444.jpg", "cmyk.jpg", "colour.png", "palette4.png", "grey.png", "grey.jpg", "16.png"}) {
    const Image grey = decoded(file_of(name), 1), colour = decoded(file_of(name), 3);
    ASSERT_EQ(grey.pixels.size() * 3, colour.pixels.size());
    for (size_t i = 0; i < grey.pixels.size(); ++i) {
      const double expected = .299 * colour.pixels[3 * i] + .587 * colour.pixels[3 * i + 1] + .114 * colour.pixels[3 * i + 2];
      // libpng's weights are those of sRGB's primaries: .2126, .7152, .0722.
      const double srgb = .2126 * colour.pixels[3 * i] + .7152 * colour.pixels[3 * i + 1] + .0722 * colour.pixels[3 * i + 2];
      ASSERT_LE(std::min(std::abs(grey.pixels[i] - expected), std::abs(grey.pixels[i] - srgb)), 2.5) << name << " " << i;
    }
  }
}

TEST(ImageFile, AJpegIsDecodedSmallerWhenAsked) {
  for (const int64_t shrink : {1, 2, 4, 8}) {
    const Image image = decoded(file_of("444.jpg"), 3, shrink);
    EXPECT_EQ(image.height, (9 + shrink - 1) / shrink);
    EXPECT_EQ(image.width, (13 + shrink - 1) / shrink);
  }
}

TEST(ImageFile, OnePixelIsAnImage) {
  Image one;
  one.reshape(1, 1, 3);
  one.pixels = {1, 2, 3};
  EXPECT_EQ(decoded(encode_png(one)).pixels, one.pixels);
}

TEST(ImageFile, WrittenPngReadsBack) {
  for (const int64_t channels : {1, 3}) {
    Image image;
    image.reshape(7, 11, channels);
    for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 37);
    EXPECT_EQ(decoded(encode_png(image), channels).pixels, image.pixels);
  }
}

TEST(ImageFile, ACutFileIsNeverHalfAPicture) {
  for (const auto& [name, row] : golden()["files"].items()) {
    const std::string whole = file_of(name);
    for (size_t length = 0; length < whole.size(); length += length < 700 ? 1 : 211) {
      const std::string line = error_of([&] { decoded(whole.substr(0, length)); });
      EXPECT_NE(line, "nothing") << name << " " << length;
    }
    expect_refused("cut", whole.substr(0, whole.size() - 1));
  }
}

TEST(ImageFile, RefusesWhatIsNoImage) {
  expect_refused("empty file", "");
  expect_refused("neither JPEG nor PNG, looks like GIF", "GIF89a......");
  expect_refused("neither JPEG nor PNG", "BM      ");
  expect_refused("neither JPEG nor PNG, looks like HTML", "<!DOCTYPE html>");
  expect_refused("larger than 64 MiB", "\x89PNG\r\n\x1a\n" + std::string(64u << 20, '\0'));
}

TEST(ImageFile, RefusesSizesBeforeAllocating) {
  const std::string data = chunk("IDAT", deflated(std::string(100, '\0'))) + kEnd;
  expect_refused("30000 x 30000 pixels: larger than 16384 on a side", header(30000, 30000) + data);
  expect_refused("larger than 64000000 in all", header(16384, 16384) + data);
  expect_refused("larger than 16384 on a side", header(0x7fffffff, 0x7fffffff) + data);
  expect_refused("larger than 16384 on a side", header(0xffffffff, 1) + data);
  expect_refused("width is 0", header(0, 5) + data);
  expect_refused("height is 0", header(5, 0) + data);
  const std::string jpeg = file_of("420.jpg");
  expect_refused("30000 x 30000 pixels: larger than 16384 on a side", resized_header(jpeg, 30000, 30000));
  expect_refused("larger than 64000000 in all", resized_header(jpeg, 16384, 16384));
  expect_refused("larger than 16384 on a side", resized_header(jpeg, 65535, 65535));
  expect_refused("JPEG: ", resized_header(jpeg, 0, 100));
  expect_refused("JPEG: ", resized_header(jpeg, 100, 0));
  // The whole of a progressive image is kept as coefficients.
  std::string progressive = resized_header(file_of("progressive.jpg"), 16000, 4000);
  progressive[progressive.find("\xff\xc2") + 11] = 0x11;  // no subsampling: 384 MB of them
  expect_refused("more than 256 MiB", progressive);
}

TEST(ImageFile, RefusesDamagedPng) {
  const std::string line(1 + 3 * 4, '\1'),
      good = header(4, 2) + chunk("IDAT", deflated(std::string(1, '\0') + line.substr(1) + std::string(1, '\0') + line.substr(1)));
  ASSERT_EQ(decoded(good + kEnd).pixels.size(), 24u);
  std::string damaged = good + kEnd;
  damaged[good.size() - 2] = static_cast<char>(damaged[good.size() - 2] ^ 4);
  expect_refused("CRC mismatch", damaged);
  expect_refused("IHDR does not come first", "\x89PNG\r\n\x1a\n" + chunk("IDAT", std::string(20, 'x')));
  expect_refused("PNG: ", header(4, 2, 3) + kEnd);                                                  // depth
  expect_refused("PNG: ", header(4, 2, 8, 5) + kEnd);                                               // colour
  expect_refused("PNG: ", header(4, 2, 8, 2, 2) + kEnd);                                            // interlace
  expect_refused("PNG: ", header(4, 2, 8, 3) + chunk("IDAT", deflated("\0\0\0\0\0")) + kEnd);       // no palette
  expect_refused("PNG: ", header(4, 2) + chunk("IDAT", deflated(std::string(10, '\0'))) + kEnd);    // too little
  expect_refused("PNG: ", header(4, 2) + chunk("IDAT", deflated(std::string(1000, '\0'))) + kEnd);  // too much
  expect_refused("PNG: ", header(4, 2) + chunk("IDAT", "no zlib") + kEnd);
  expect_refused("PNG: ", header(4, 2) + chunk("IDAT", deflated(std::string(26, '\7'))) + kEnd);  // filter
  expect_refused("PNG: ", header(4, 2) + chunk("ABCD", "x") + good.substr(33) + kEnd);            // unknown critical chunk
  const std::string indexed = header(2, 1, 8, 3) + chunk("PLTE", "rgbRGB");
  EXPECT_EQ(decoded(indexed + chunk("IDAT", deflated(std::string("\0\1\0", 3))) + kEnd).pixels,
            (std::vector<uint8_t>{'R', 'G', 'B', 'r', 'g', 'b'}));
  expect_refused("palette index 2 of 2", indexed + chunk("IDAT", deflated(std::string("\0\1\2", 3))) + kEnd);
}

TEST(ImageFile, TextThatUnfoldsToGigabytesIsNotRead) {
  std::string bomb = deflated(std::string(100 << 20, 'a'));
  const std::string pixels = chunk("IDAT", deflated(std::string(4, '\0')));
  EXPECT_EQ(decoded(header(1, 1) + chunk("zTXt", std::string("k\0\0", 3) + bomb) + pixels + kEnd).pixels.size(), 3u);
  EXPECT_EQ(decoded(header(1, 1) + chunk("iCCP", std::string("k\0\0", 3) + bomb) + pixels + kEnd).pixels.size(), 3u);
}

TEST(ImageFile, RefusesDamagedJpeg) {
  const std::string jpeg = file_of("444.jpg");
  const auto with = [&](size_t frame_offset, char value) {
    std::string bytes = jpeg;
    const size_t frame = bytes.find("\xff\xc0");
    bytes[frame + frame_offset] = value;
    return bytes;
  };
  expect_refused("JPEG: ", with(4, 12));       // precision
  expect_refused("JPEG: ", with(9, 7));        // components
  expect_refused("JPEG: ", with(11, '\x55'));  // sampling
  expect_refused("JPEG: ", with(1, '\xc3'));   // lossless
  expect_refused("cut", "\xff\xd8" + std::string(10'000'000, '\xff'));
  std::string scans = file_of("progressive.jpg");
  const size_t last_scan = scans.rfind("\xff\xda");
  const std::string scan = scans.substr(last_scan, scans.size() - 2 - last_scan);
  std::string many = scans.substr(0, scans.size() - 2);
  for (int i = 0; i < 1000; ++i) many += scan;
  expect_refused("JPEG: ", many + "\xff\xd9");
}

}  // namespace
}  // namespace aot
