// SPDX-License-Identifier: Apache-2.0
#include "aot/io/byte_stream.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

#include "aot/io/error.h"

namespace aot {
namespace {

constexpr int kGzipWindow = 15 + 16;       // zlib: the largest window, gzip's header and nothing else
constexpr uint64_t kMostExpansion = 1032;  // deflate: 258 bytes from two bits

}  // namespace

struct ByteStream::Inflater {
  z_stream state = {};
  std::array<unsigned char, 1 << 16> input = {};
  bool member_ended = false;  // the stream stands behind a whole gzip member

  Inflater() {
    if (inflateInit2(&state, kGzipWindow) != Z_OK) throw Error(ExitCode::io, "no memory to read gzip");
  }
  ~Inflater() { inflateEnd(&state); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

ByteStream::ByteStream(const std::string& path) : file_(path) {
  if (file_.size() == 0) throw FileError(path, "", "empty file");
  std::array<char, 2> start = {};
  file_.read_at(0, start.data(), std::min<size_t>(start.size(), file_.size()));
  if (looks_like({start.data(), start.size()}) == "gzip") inflater_ = std::make_unique<Inflater>();
}

ByteStream::~ByteStream() = default;
ByteStream::ByteStream(ByteStream&&) noexcept = default;
ByteStream& ByteStream::operator=(ByteStream&&) noexcept = default;

uint64_t ByteStream::most_bytes() const {
  if (!is_gzip()) return file_.size();
  return file_.size() > std::numeric_limits<uint64_t>::max() / kMostExpansion ? std::numeric_limits<uint64_t>::max()
                                                                              : file_.size() * kMostExpansion;
}

size_t ByteStream::read(void* into, size_t bytes) {
  size_t done = 0;
  while (done < bytes) {
    char* rest = static_cast<char*>(into) + done;
    const size_t got = is_gzip() ? inflate_some(rest, bytes - done) : read_file(rest, bytes - done);
    if (got == 0) break;
    done += got;
  }
  if (done < bytes) file_.check_unchanged();
  return done;
}

size_t ByteStream::read_file(void* into, size_t bytes) {
  const size_t here = std::min<uint64_t>(bytes, file_.size() - at_);
  file_.read_at(at_, into, here);
  at_ += here;
  return here;
}

size_t ByteStream::inflate_some(void* into, size_t bytes) {
  Inflater& inflater = *inflater_;
  z_stream& state = inflater.state;
  state.next_out = static_cast<unsigned char*>(into);
  const auto room = static_cast<uInt>(std::min<size_t>(bytes, 1u << 30));
  state.avail_out = room;
  while (state.avail_out == room) {
    if (state.avail_in == 0) {
      state.next_in = inflater.input.data();
      state.avail_in = static_cast<uInt>(read_file(inflater.input.data(), inflater.input.size()));
      if (state.avail_in == 0) {
        if (inflater.member_ended) return 0;
        throw FileError(path(), "", "gzip: cut");
      }
    }
    if (inflater.member_ended) {  // a gzip file may hold several, one behind the other
      inflateReset(&state);
      inflater.member_ended = false;
    }
    const uint64_t offset = at_ - state.avail_in;
    const int result = inflate(&state, Z_NO_FLUSH);
    if (result == Z_STREAM_END)
      inflater.member_ended = true;
    else if (result == Z_MEM_ERROR)
      throw Error(ExitCode::io, "no memory to read gzip");
    else if (result != Z_OK && result != Z_BUF_ERROR)
      throw FileError(path(), str("byte ", offset), str("gzip: damaged (", state.msg != nullptr ? state.msg : "needs a dictionary", ")"));
  }
  return room - state.avail_out;
}

}  // namespace aot
