// SPDX-License-Identifier: Apache-2.0
// libpng behind our limits. It reports by longjmp: what stands between a call and its guard has no destructor.
#include <csetjmp>

#include <png.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "aot/io/error.h"
#include "aot/io/image_file.h"

namespace aot {
namespace {

constexpr std::string_view kSignature = "\x89PNG\r\n\x1a\n";
constexpr size_t kHeaderBytes = 8 + 8 + 13;            // signature, and IHDR without its checksum
constexpr png_alloc_size_t kMaxChunkBytes = 8u << 20;  // of a chunk other than IDAT, inflated

int64_t big_endian(std::string_view bytes, size_t at) {
  int64_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

/// Text, colour profiles and the like change no pixel and may unfold to gigabytes: left unread.
using namespace std::string_view_literals;
constexpr std::string_view kLeftUnread = "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0sCAL\0sPLT\0tEXt\0tIME\0zTXt\0"sv;

class PngDecoder {
 public:
  PngDecoder(std::string_view bytes, const std::string& path) : path_(path), bytes_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    info_ = png_ != nullptr ? png_create_info_struct(png_) : nullptr;
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw Error(ExitCode::io, "no memory to read PNG");
    }
  }
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;

  void decode(int64_t channels, Image& into) {
    png_uint_32 width = 0, height = 0;
    int depth = 0, colour = 0, interlace = 0;
    guarded([&] {
      png_set_read_fn(png_, this, on_read);
      png_set_user_limits(png_, kMaxImageSide, kMaxImageSide);
      png_set_chunk_malloc_max(png_, kMaxChunkBytes);
      png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_WARN_DISCARD);
      png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, reinterpret_cast<png_const_bytep>(kLeftUnread.data()),
                                  kLeftUnread.size() / 5);
      png_read_info(png_, info_);
      png_get_IHDR(png_, info_, &width, &height, &depth, &colour, &interlace, nullptr, nullptr);
      png_set_interlace_handling(png_);
      png_set_packing(png_);
      if (depth == 16) png_set_scale_16(png_);
      if ((colour & PNG_COLOR_MASK_ALPHA) != 0) png_set_strip_alpha(png_);
      if (colour == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png_);
      const bool is_grey = (colour & PNG_COLOR_MASK_COLOR) == 0;
      if (is_grey && channels == 3) png_set_gray_to_rgb(png_);
      if (!is_grey && colour != PNG_COLOR_TYPE_PALETTE && channels == 1) png_set_rgb_to_gray_fixed(png_, 1, -1, -1);
      png_read_update_info(png_, info_);
    });
    const bool has_palette = colour == PNG_COLOR_TYPE_PALETTE;
    into.reshape(height, width, channels);
    std::vector<uint8_t> indices(has_palette ? static_cast<size_t>(height) * width : 0);
    uint8_t* first = has_palette ? indices.data() : into.pixels.data();
    const size_t row_bytes = has_palette ? width : static_cast<size_t>(width) * static_cast<size_t>(channels);
    if (png_get_rowbytes(png_, info_) != row_bytes) throw FileError(path_, "", "PNG: a kind of pixels that is not supported");
    std::vector<png_bytep> rows(height);
    for (size_t y = 0; y < height; ++y) rows[y] = first + y * row_bytes;
    guarded([&] {
      png_read_image(png_, rows.data());
      png_read_end(png_, nullptr);
    });
    if (has_palette) from_palette(indices, channels, into);
  }

 private:
  template <class Work>
  void guarded(const Work& work) {
    if (setjmp(jump_) != 0) throw_reported();
    work();
  }

  [[noreturn]] void throw_reported() const {
    const std::string_view message = message_.data();
    if (message.find("CRC error") != message.npos) throw FileError(path_, "", str("PNG: CRC mismatch (", escaped(message, 100), ")"));
    throw FileError(path_, "", str("PNG: ", escaped(message, 150)));
  }

  static PngDecoder& of(png_structp png) { return *static_cast<PngDecoder*>(png_get_error_ptr(png)); }
  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    PngDecoder& decoder = of(png);
    std::strncpy(decoder.message_.data(), message, decoder.message_.size() - 1);
    std::longjmp(decoder.jump_, 1);
  }
  /// Of warnings only those about the pixels count.
  static void on_warning(png_structp png, png_const_charp message) {
    if (std::strncmp(message, "IDAT", 4) == 0) on_error(png, message);
  }
  static void on_read(png_structp png, png_bytep into, size_t bytes) {
    PngDecoder& decoder = of(png);
    if (bytes > decoder.bytes_.size() - decoder.at_) on_error(png, "cut");
    std::memcpy(into, decoder.bytes_.data() + decoder.at_, bytes);
    decoder.at_ += bytes;
  }

  void from_palette(const std::vector<uint8_t>& indices, int64_t channels, Image& into) const {
    png_colorp palette = nullptr;
    int colours = 0;
    png_get_PLTE(png_, info_, &palette, &colours);
    for (size_t i = 0; i < indices.size(); ++i) {
      if (indices[i] >= colours)
        throw FileError(path_, str("row ", i / static_cast<size_t>(into.width)),
                        str("PNG: palette index ", int{indices[i]}, " of ", colours));
      const png_color& colour = palette[indices[i]];
      if (channels == 3) {
        into.pixels[3 * i] = colour.red;
        into.pixels[3 * i + 1] = colour.green;
        into.pixels[3 * i + 2] = colour.blue;
      } else {
        into.pixels[i] = brightness_of(colour.red, colour.green, colour.blue);
      }
    }
  }

  const std::string& path_;
  std::string_view bytes_;
  size_t at_ = 0;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf jump_ = {};
  std::array<char, 200> message_ = {};
};

}  // namespace

ImageSize read_png_size(std::string_view bytes, const std::string& path) {
  if (bytes.size() < kHeaderBytes) throw FileError(path, "", "PNG: cut");
  if (bytes.substr(0, 8) != kSignature || big_endian(bytes, 8) != 13 || bytes.substr(12, 4) != "IHDR")
    throw FileError(path, "", "PNG: damaged, IHDR does not come first");
  const ImageSize size = {big_endian(bytes, 20), big_endian(bytes, 16)};
  check_image_size(size, path);
  return size;
}

void decode_png(std::string_view bytes, const std::string& path, int64_t channels, Image& into) {
  read_png_size(bytes, path);  // before libpng allocates anything for it
  PngDecoder(bytes, path).decode(channels, into);
}

std::string encode_png(const Image& image) {
  png_image header = {};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = image.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  std::string bytes;
  png_alloc_size_t size = 0;
  if (png_image_write_to_memory(&header, nullptr, &size, 0, image.pixels.data(), 0, nullptr) != 0) {
    bytes.resize(size);
    if (png_image_write_to_memory(&header, bytes.data(), &size, 0, image.pixels.data(), 0, nullptr) != 0) return bytes.substr(0, size);
  }
  throw Error(ExitCode::failed, str("PNG cannot be written: ", header.message));
}

}  // namespace aot
