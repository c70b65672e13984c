// SPDX-License-Identifier: Apache-2.0
// libjpeg-turbo behind our limits. It reports by longjmp: what stands between a call and its guard has no destructor.
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it

#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <array>
#include <vector>

#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/image_file.h"

namespace aot {
namespace {

// A progressive file of some kilobytes may ask for many passes over a large image; honest ones have about ten.
constexpr int64_t kMaxScans = 500;
constexpr int64_t kMaxScannedPixels = 20 * kMaxImagePixels;

class JpegDecoder {
 public:
  explicit JpegDecoder(const std::string& path) : path_(path) {
    state_.err = jpeg_std_error(&errors_);
    errors_.error_exit = on_error;
    errors_.emit_message = on_message;
    errors_.output_message = [](j_common_ptr) {};
    state_.client_data = this;
    progress_.progress_monitor = on_progress;
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&state_); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  /// Reads the header.
  ImageSize open(std::string_view bytes) {
    guarded([&] {
      jpeg_create_decompress(&state_);
      state_.progress = &progress_;
      state_.mem->max_memory_to_use = kMaxDecoderBytes;
      jpeg_mem_src(&state_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
      jpeg_read_header(&state_, TRUE);
    });
    const ImageSize size = {int64_t{state_.image_height}, int64_t{state_.image_width}};
    check_image_size(size, path_);
    max_scans_ = std::min(kMaxScans, kMaxScannedPixels / (size.height * size.width));
    return size;
  }

  /// REQUIRES: open.
  void decode(int64_t channels, int64_t shrink, Image& into) {
    const bool is_cmyk = state_.jpeg_color_space == JCS_CMYK || state_.jpeg_color_space == JCS_YCCK;
    guarded([&] {
      state_.scale_num = 1;
      state_.scale_denom = static_cast<unsigned>(shrink);
      state_.out_color_space = is_cmyk ? JCS_CMYK : channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
      jpeg_start_decompress(&state_);
    });
    into.reshape(state_.output_height, state_.output_width, channels);
    line_.resize(is_cmyk ? static_cast<size_t>(state_.output_width) * 4 : 0);
    guarded([&] {
      while (state_.output_scanline < state_.output_height) {
        uint8_t* row = into.pixels.data() + int64_t{state_.output_scanline} * into.width * channels;
        uint8_t* target = is_cmyk ? line_.data() : row;
        jpeg_read_scanlines(&state_, &target, 1);
        if (is_cmyk) from_cmyk(line_.data(), into.width, channels, row);
      }
      jpeg_finish_decompress(&state_);
    });
  }

 private:
  /// Runs `work`, which calls libjpeg and holds nothing that has a destructor; throws what libjpeg reported.
  template <class Work>
  void guarded(const Work& work) {
    if (setjmp(jump_) != 0) throw_reported();
    work();
  }

  [[noreturn]] void throw_reported() const {
    switch (code_) {
      case JWRN_JPEG_EOF:
      case JERR_INPUT_EOF:
      case JERR_INPUT_EMPTY:
        throw FileError(path_, "", "JPEG: cut");
      case JERR_IMAGE_TOO_BIG:
        throw FileError(path_, "", str("JPEG: larger than ", kMaxImageSide, " on a side"));
      case JERR_NO_BACKING_STORE:
      case JERR_OUT_OF_MEMORY:
        throw FileError(path_, "", str("JPEG: a progressive image that needs more than ", limit_text(kMaxDecoderBytes), " to decode"));
      case kTooManyScans:
        throw FileError(path_, "", str("JPEG: more than ", max_scans_, " scans"));
      default:
        throw FileError(path_, "", str("JPEG: ", escaped(message_.data(), 150)));
    }
  }

  [[noreturn]] void leave(int code) {
    code_ = code;
    std::longjmp(jump_, 1);
  }

  static JpegDecoder& of(j_common_ptr state) { return *static_cast<JpegDecoder*>(state->client_data); }
  [[noreturn]] static void on_error(j_common_ptr state) {
    state->err->format_message(state, of(state).message_.data());
    of(state).leave(state->err->msg_code);
  }
  /// Warnings are about damage that libjpeg would paint over, apart from a few.
  static void on_message(j_common_ptr state, int level) {
    const int code = state->err->msg_code;
    const bool harmless = code == JWRN_JFIF_MAJOR || code == JWRN_NOT_SEQUENTIAL || code == JWRN_ADOBE_XFORM || code == JWRN_BOGUS_ICC;
    if (level < 0 && !harmless) on_error(state);
  }
  static void on_progress(j_common_ptr state) {
    if (state->is_decompressor != 0 && reinterpret_cast<j_decompress_ptr>(state)->input_scan_number > of(state).max_scans_)
      of(state).leave(kTooManyScans);
  }

  /// Adobe's files hold inverted values, as all writers do; without its marker they are taken as they are called.
  void from_cmyk(const uint8_t* cmyk, int64_t width, int64_t channels, uint8_t* into) const {
    const int inverted = state_.saw_Adobe_marker != 0 ? 0 : 255;
    for (int64_t x = 0; x < width; ++x) {
      const int black = cmyk[4 * x + 3] ^ inverted;
      std::array<int, 3> rgb = {};
      for (size_t c = 0; c < 3; ++c) rgb[c] = ((cmyk[4 * x + static_cast<int64_t>(c)] ^ inverted) * black + 127) / 255;
      if (channels == 3)
        std::copy(rgb.begin(), rgb.end(), into + 3 * x);
      else
        into[x] = brightness_of(rgb[0], rgb[1], rgb[2]);
    }
  }

  static constexpr int kTooManyScans = -1;

  const std::string& path_;
  jpeg_decompress_struct state_ = {};
  jpeg_error_mgr errors_ = {};
  jpeg_progress_mgr progress_ = {};
  std::jmp_buf jump_ = {};
  int64_t max_scans_ = kMaxScans;
  int code_ = 0;
  std::array<char, JMSG_LENGTH_MAX> message_ = {};
  std::vector<uint8_t> line_;
};

}  // namespace

ImageSize read_jpeg_size(std::string_view bytes, const std::string& path) {
  return JpegDecoder(path).open(bytes);
}

void decode_jpeg(std::string_view bytes, const std::string& path, int64_t channels, int64_t shrink, Image& into) {
  JpegDecoder decoder(path);
  decoder.open(bytes);
  decoder.decode(channels, shrink, into);
}

}  // namespace aot
