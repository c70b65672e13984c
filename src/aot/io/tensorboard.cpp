// SPDX-License-Identifier: Apache-2.0
#include "aot/io/tensorboard.h"

#include <array>
#include <bit>

namespace aot {
namespace {

/// CRC-32C (Castagnoli) of each byte.
constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table = {};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? 0x82f63b78u : 0u);
    table[byte] = rest;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = crc_table();

template <class Number>
void put_little_endian(std::string& out, Number number) {
  for (size_t i = 0; i < sizeof number; ++i) out += static_cast<char>((number >> 8 * i) & 0xff);
}

// Protocol Buffers: a field is its key (number, wire type), then its value.
enum class Wire : uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void put_varint(std::string& out, uint64_t number) {
  for (; number >= 128; number >>= 7) out += static_cast<char>((number & 127) | 128);
  out += static_cast<char>(number);
}

void put_key(std::string& out, uint32_t field, Wire wire) {
  put_varint(out, field << 3 | static_cast<uint32_t>(wire));
}

void put_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  put_key(out, field, Wire::bytes);
  put_varint(out, bytes.size());
  out += bytes;
}

/// Event: 1 wall_time, 2 step, 3 file_version, 5 summary.
std::string event(double wall_time) {
  std::string out;
  put_key(out, 1, Wire::fixed64);
  put_little_endian(out, std::bit_cast<uint64_t>(wall_time));
  return out;
}

}  // namespace

uint32_t masked_crc32c(std::string_view data) {
  uint32_t crc = 0xffffffffu;
  for (const char c : data) crc = kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ (crc >> 8);
  return std::rotr(crc ^ 0xffffffffu, 15) + 0xa282ead8u;
}

std::string event_record(std::string_view data) {
  std::string out;
  put_little_endian(out, static_cast<uint64_t>(data.size()));
  put_little_endian(out, masked_crc32c(out));
  out += data;
  put_little_endian(out, masked_crc32c(data));
  return out;
}

std::string event_file_start(double wall_time) {
  std::string out = event(wall_time);
  put_bytes(out, 3, "brain.Event:2");
  return event_record(out);
}

std::string scalar_event(std::string_view tag, int64_t step, double wall_time, double value) {
  std::string entry;  // Summary.Value: 1 tag, 2 simple_value
  put_bytes(entry, 1, tag);
  put_key(entry, 2, Wire::fixed32);
  put_little_endian(entry, std::bit_cast<uint32_t>(static_cast<float>(value)));
  std::string summary;  // Summary: 1 value
  put_bytes(summary, 1, entry);
  std::string out = event(wall_time);
  put_key(out, 2, Wire::varint);
  put_varint(out, static_cast<uint64_t>(step));
  put_bytes(out, 5, summary);
  return event_record(out);
}

}  // namespace aot
