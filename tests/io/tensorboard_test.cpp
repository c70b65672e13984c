// SPDX-License-Identifier: Apache-2.0
#include "aot/io/tensorboard.h"

#include <bit>
#include <cmath>
#include <map>
#include <vector>

#include <gtest/gtest.h>

namespace aot {
namespace {

template <class Number>
Number take_number(std::string_view& bytes) {
  Number number = 0;
  for (size_t i = 0; i < sizeof number; ++i) number |= static_cast<Number>(static_cast<unsigned char>(bytes.at(i))) << 8 * i;
  bytes.remove_prefix(sizeof number);
  return number;
}

uint64_t take_varint(std::string_view& bytes) {
  uint64_t number = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.at(0));
    bytes.remove_prefix(1);
    number |= static_cast<uint64_t>(byte & 127) << shift;
    if (byte < 128) return number;
  }
}

/// The records of a file, with their checksums compared.
std::vector<std::string> records_of(std::string_view file) {
  std::vector<std::string> records;
  while (!file.empty()) {
    const std::string_view length_bytes = file.substr(0, 8);
    const auto length = take_number<uint64_t>(file);
    EXPECT_EQ(take_number<uint32_t>(file), masked_crc32c(length_bytes));
    records.emplace_back(file.substr(0, length));
    file.remove_prefix(length);
    EXPECT_EQ(take_number<uint32_t>(file), masked_crc32c(records.back()));
  }
  return records;
}

/// The fields of a message: numbers as they are stored, and texts.
struct Message {
  std::map<uint64_t, uint64_t> numbers;
  std::map<uint64_t, std::string> texts;

  explicit Message(std::string_view bytes) {
    while (!bytes.empty()) {
      const uint64_t key = take_varint(bytes), field = key >> 3;
      if ((key & 7) == 0) numbers[field] = take_varint(bytes);
      if ((key & 7) == 1) numbers[field] = take_number<uint64_t>(bytes);
      if ((key & 7) == 5) numbers[field] = take_number<uint32_t>(bytes);
      if ((key & 7) != 2) continue;
      const uint64_t length = take_varint(bytes);
      texts[field] = bytes.substr(0, length);
      bytes.remove_prefix(length);
    }
  }
};

TEST(TensorBoard, ChecksumsAreThoseOfRfc3720) {
  const auto unmasked = [](std::string_view data) { return std::rotl(masked_crc32c(data) - 0xa282ead8u, 15); };
  EXPECT_EQ(unmasked("123456789"), 0xe3069283u);
  EXPECT_EQ(unmasked(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(unmasked(std::string(32, '\xff')), 0x62a8ab43u);
}

TEST(TensorBoard, EventsReadBack) {
  const std::string file = event_file_start(1.5e9) + scalar_event("train/loss", 0, 1.5e9 + 0.25, 4.125) +
                           scalar_event("val/loss", 5'000'000'000, 1.5e9 + 1, -1e-3) + scalar_event("x", 300, 2, std::nan(""));
  const std::vector<std::string> records = records_of(file);
  ASSERT_EQ(records.size(), 4u);
  const Message start(records[0]);
  EXPECT_EQ(start.texts.at(3), "brain.Event:2");
  EXPECT_EQ(std::bit_cast<double>(start.numbers.at(1)), 1.5e9);
  const Message first(records[1]), second(records[2]), third(records[3]);
  EXPECT_EQ(std::bit_cast<double>(first.numbers.at(1)), 1.5e9 + 0.25);
  EXPECT_EQ(first.numbers.at(2), 0u);
  const auto value_of = [](const Message& event) { return Message(Message(event.texts.at(5)).texts.at(1)); };
  const auto number_of = [&](const Message& event) { return std::bit_cast<float>(static_cast<uint32_t>(value_of(event).numbers.at(2))); };
  EXPECT_EQ(value_of(first).texts.at(1), "train/loss");
  EXPECT_EQ(number_of(first), 4.125f);
  EXPECT_EQ(second.numbers.at(2), 5'000'000'000u);
  EXPECT_EQ(value_of(second).texts.at(1), "val/loss");
  EXPECT_EQ(number_of(second), -1e-3f);
  EXPECT_TRUE(std::isnan(number_of(third)));
}

TEST(TensorBoard, ARecordOfNoBytes) {
  EXPECT_EQ(records_of(event_record("")), std::vector<std::string>{""});
}

}  // namespace
}  // namespace aot
