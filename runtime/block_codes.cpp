// block_codes.cpp - From blocks of bytes to their numbers.

#include "runtime/block_codes.h"
#include "runtime/tensor.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace rondo {

namespace {

constexpr int groupOf32 = 32;

float halfAt(const std::byte *at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return halfToFloat(bits);
}

int byteAt(const std::byte *at) { return static_cast<int>(*at); }
int signedAt(const std::byte *at) { return static_cast<int8_t>(*at); }

/// Of 16 bytes: the lower halves are the first 16 numbers, the upper ones the rest.
int halfByte(const std::byte *bytes, int i) {
  return byteAt(bytes + i % 16) >> (i < 16 ? 0 : 4) & 15;
}

int bitAt(const std::byte *bytes, int i) { return byteAt(bytes + i / 8) >> i % 8 & 1; }

void decodeQ4_0(const std::byte *block, float *numbers) {
  float scale = halfAt(block);
  for (int i = 0; i < groupOf32; ++i)
    numbers[i] = static_cast<float>(halfByte(block + 2, i) - 8) * scale;
}

void decodeQ4_1(const std::byte *block, float *numbers) {
  float scale = halfAt(block), offset = halfAt(block + 2);
  for (int i = 0; i < groupOf32; ++i)
    numbers[i] = static_cast<float>(halfByte(block + 4, i)) * scale + offset;
}

void decodeQ5_0(const std::byte *block, float *numbers) {
  float scale = halfAt(block);
  for (int i = 0; i < groupOf32; ++i)
    numbers[i] =
        static_cast<float>((halfByte(block + 6, i) | bitAt(block + 2, i) << 4) - 16) * scale;
}

void decodeQ5_1(const std::byte *block, float *numbers) {
  float scale = halfAt(block), offset = halfAt(block + 2);
  for (int i = 0; i < groupOf32; ++i)
    numbers[i] =
        static_cast<float>(halfByte(block + 8, i) | bitAt(block + 4, i) << 4) * scale + offset;
}

void decodeQ8_0(const std::byte *block, float *numbers) {
  float scale = halfAt(block);
  for (int i = 0; i < groupOf32; ++i)
    numbers[i] = static_cast<float>(signedAt(block + 2 + i)) * scale;
}

/// The scale and offset of one of eight groups: 6 bits each, in 12 bytes.
struct SixBits {
  int scale, offset;
};
SixBits sixBitsOf(const std::byte *bytes, int group) {
  if (group < 4)
    return {byteAt(bytes + group) & 63, byteAt(bytes + group + 4) & 63};
  int both = byteAt(bytes + group + 4);
  return {(both & 15) | byteAt(bytes + group - 4) >> 6 << 4,
          both >> 4 | byteAt(bytes + group) >> 6 << 4};
}

/// Pairs of groups share 32 bytes: the lower halves are the even group's.
void decodeGroupsOf32(const std::byte *block, const std::byte *fifth, const std::byte *integers,
                      float *numbers) {
  float scaleUnit = halfAt(block), offsetUnit = halfAt(block + 2);
  for (int group = 0; group < 8; ++group) {
    SixBits six = sixBitsOf(block + 4, group);
    float scale = scaleUnit * static_cast<float>(six.scale);
    float offset = offsetUnit * static_cast<float>(six.offset);
    for (int i = 0; i < groupOf32; ++i) {
      int q = byteAt(integers + group / 2 * groupOf32 + i) >> group % 2 * 4 & 15;
      if (fifth)
        q |= (byteAt(fifth + i) >> group & 1) << 4;
      numbers[group * groupOf32 + i] = scale * static_cast<float>(q) - offset;
    }
  }
}

void decodeQ4_K(const std::byte *block, float *numbers) {
  decodeGroupsOf32(block, nullptr, block + 16, numbers);
}

void decodeQ5_K(const std::byte *block, float *numbers) {
  decodeGroupsOf32(block, block + 16, block + 48, numbers);
}

/// Two halves of 128 numbers; in each, 64 bytes hold the lower four bits and 32 the upper two.
void decodeQ6_K(const std::byte *block, float *numbers) {
  const std::byte *low = block, *high = block + 128, *scales = block + 192;
  float unit = halfAt(block + 208);
  for (int i = 0; i < 256; ++i) {
    int half = i / 128, quarter = i % 128 / 32, place = i % 32;
    int q = byteAt(low + half * 64 + quarter % 2 * 32 + place) >> quarter / 2 * 4 & 15;
    q |= (byteAt(high + half * 32 + place) >> quarter * 2 & 3) << 4;
    numbers[i] = unit * static_cast<float>(signedAt(scales + i / 16)) * static_cast<float>(q - 32);
  }
}

constexpr BlockCode codes[] = {
    {"Q4_0", 2, 32, 18, decodeQ4_0},    {"Q4_1", 3, 32, 20, decodeQ4_1},
    {"Q5_0", 6, 32, 22, decodeQ5_0},    {"Q5_1", 7, 32, 24, decodeQ5_1},
    {"Q8_0", 8, 32, 34, decodeQ8_0},    {"Q4_K", 12, 256, 144, decodeQ4_K},
    {"Q5_K", 13, 256, 176, decodeQ5_K}, {"Q6_K", 14, 256, 210, decodeQ6_K},
};

template <class Is> const BlockCode *findCode(Is is) {
  const auto *found = std::find_if(std::begin(codes), std::end(codes), is);
  return found == std::end(codes) ? nullptr : found;
}

} // namespace

const BlockCode *blockCodeNamed(std::string_view name) {
  return findCode([&](const BlockCode &code) { return code.name == name; });
}

const BlockCode *blockCodeOf(uint32_t type) {
  return findCode([&](const BlockCode &code) { return code.type == type; });
}

std::span<const BlockCode> blockCodes() { return codes; }

std::string nameOfBlocks(std::string_view name, const BlockCode &code) {
  return std::string(name) + ":" + std::string(code.name);
}

} // namespace rondo
