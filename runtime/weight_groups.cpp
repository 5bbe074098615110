// weight_groups.cpp - Matrices stored in 8 or 4 bits a number, by groups that share a scale.

#include "runtime/weight_groups.h"

#include "runtime/tensor.h"

#include <algorithm>
#include <array>
#include <bit>
#include <climits>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <numeric>

namespace rondo {

namespace {

constexpr int64_t upperHalf = groupDepth / 2;

/// The f16 that a scale is stored as; never an infinity.
uint16_t storedScale(float scale, float unit) {
  constexpr float largest = 65504;
  return floatToHalf(std::clamp(scale / unit, -largest, largest));
}

/// Rounds with `scale`; the squared error.
double fill(Group &group, std::span<const float> numbers, float scale, int low, int high) {
  // A float of this size has no digits behind the point, so a sum with it is rounded to an integer,
  // ties to even: no call, and several at once.
  constexpr float rounder = 3 << 22;
  constexpr size_t sums = 4;
  group.scale = scale;
  float inverse = scale == 0 ? 0 : 1 / scale;
  if (!std::isfinite(inverse))
    inverse = 0;
  std::array<float, groupDepth> rounded = {};
  for (size_t i = 0; i < numbers.size(); ++i)
    rounded[i] = (std::clamp(numbers[i] * inverse, float(low), float(high)) + rounder) - rounder;
  double errors[sums] = {};
  for (size_t i = 0; i < numbers.size(); ++i) {
    group.q[i] = static_cast<int8_t>(rounded[i]);
    double off = double(numbers[i]) - double(rounded[i]) * double(scale);
    errors[i % sums] += off * off;
  }
  return (errors[0] + errors[1]) + (errors[2] + errors[3]);
}

/// The scale of the smallest squared error for the integers as they are.
float fitted(const Group &group, std::span<const float> numbers) {
  double products = 0, squares = 0;
  for (size_t i = 0; i < numbers.size(); ++i) {
    products += double(group.q[i]) * double(numbers[i]);
    squares += double(group.q[i]) * double(group.q[i]);
  }
  return squares == 0 ? 0 : static_cast<float>(products / squares);
}

/// Whether the numbers are integers from low to high times the scale.
bool isOnGrid(std::span<const float> numbers, float scale, int low, int high) {
  float inverse = 1 / scale;
  if (scale == 0 || !std::isfinite(inverse))
    return false;
  for (float number : numbers) {
    float q = std::nearbyintf(number * inverse);
    if (q < float(low) || q > float(high) || q * scale != number)
      return false;
  }
  return true;
}

/// The largest number that all of `numbers` are multiples of by at most `most`; 0: there is none.
float commonScale(std::span<const float> numbers, uint64_t most) {
  constexpr int mantissa = 23, maxShift = 16;
  // An f16 times an integer of 8 bits has at most 18 digits: others are seen at once.
  uint32_t digits = 0;
  for (float number : numbers)
    digits |= std::bit_cast<uint32_t>(number);
  if (digits & 0x3f)
    return 0;
  struct Whole {
    uint64_t odd;
    int exponent;
  };
  std::array<Whole, groupDepth> wholes;
  size_t count = 0;
  int least = INT_MAX;
  for (float number : numbers) {
    uint32_t bits = std::bit_cast<uint32_t>(number) & 0x7fffffff;
    if (bits == 0)
      continue;
    if (bits >> mantissa == 0)
      return 0; // too small to have all its digits
    uint64_t digits24 = (bits & ((1u << mantissa) - 1)) | 1u << mantissa;
    int zeros = std::countr_zero(digits24), exponent = int(bits >> mantissa) - 127 - mantissa;
    wholes[count++] = {digits24 >> zeros, exponent + zeros};
    least = std::min(least, exponent + zeros);
  }
  uint64_t common = 0, largest = 0;
  for (size_t i = 0; i < count; ++i) {
    int shift = wholes[i].exponent - least;
    if (shift > maxShift)
      return 0;
    uint64_t value = wholes[i].odd << shift;
    common = std::gcd(common, value);
    largest = std::max(largest, value);
    if (largest / common > most)
      return 0;
  }
  return std::ldexp(float(common), least);
}

/// Of the largest magnitude, with its sign.
float largestOf(std::span<const float> numbers) {
  float largest = 0;
  for (float number : numbers)
    if (std::fabs(number) > std::fabs(largest))
      largest = number;
  return largest;
}

/// The power of two that makes the largest scale just fit f16.
float unitFor(float largest, int bits) {
  float scale = largest / (bits == 8 ? 127 : 7);
  if (!(scale > 0))
    return 1;
  int exponent = 0;
  std::frexp(scale, &exponent); // scale < 2^exponent
  return std::ldexp(1.0f, std::clamp(exponent - 15, -126, 127));
}

size_t blockPlace(int64_t panel, int64_t group, int64_t groups, int bits) {
  return static_cast<size_t>(groupHeader + (panel * groups + group) * groupBytes(bits));
}

/// Where q of one number is, in bytes behind the scales, and by how many bits it is shifted.
struct Place {
  size_t byte;
  int shift;
};
Place placeOf(int64_t row, int64_t k, int bits) {
  bool upper = bits == 4 && k >= upperHalf;
  int64_t low = upper ? k - upperHalf : k;
  return {static_cast<size_t>(low / 4 * (groupPanel * 4) + row * 4 + low % 4), upper ? 4 : 0};
}

} // namespace

Group quantiseGroup(std::span<const float> numbers, int bits, float unit) {
  auto rounded = [&](float scale) { return halfToFloat(storedScale(scale, unit)) * unit; };
  Group best;
  float largest = largestOf(numbers);
  if (largest == 0)
    return best;
  int low = bits == 8 ? -127 : -8, high = bits == 8 ? 127 : 7;
  // Numbers that were rounded so before, in a checkpoint of few bits, are kept as they are.
  if (float common = commonScale(numbers, uint64_t(-low))) {
    // As small as the integers allow: a larger one may be none with this unit.
    while (std::fabs(largest) / common * 2 <= float(high))
      common /= 2;
    for (float scale : {rounded(common), rounded(-common)})
      if (isOnGrid(numbers, scale, low, high)) {
        fill(best, numbers, scale, low, high);
        return best;
      }
  }
  if (bits == 8) {
    fill(best, numbers, rounded(std::fabs(largest) / 127), low, high);
    return best;
  }
  double least = HUGE_VAL;
  auto attempt = [&](float scale) {
    Group group;
    double error = fill(group, numbers, rounded(scale), low, high);
    if (error < least) {
      least = error;
      best = group;
    }
  };
  // The end of the range that reaches further is given to the largest number; a smaller scale cuts
  // that one off and serves the others better.
  for (float steps : {-8.0f, -7.0f, 7.0f, -9.0f, -7.5f}) {
    attempt(largest / steps);
    if (least == 0)
      return best;
  }
  attempt(fitted(best, numbers));
  return best;
}

std::optional<uint64_t> bytesOfGroups(std::span<const int64_t> shape, int bits) {
  if (shape.size() != 2 || shape[0] < 0 || shape[1] < 0 || shape[0] > INT64_MAX - groupPanel ||
      shape[1] > INT64_MAX - groupDepth)
    return std::nullopt;
  int64_t blocks[] = {(shape[0] + groupPanel - 1) / groupPanel,
                      (shape[1] + groupDepth - 1) / groupDepth, groupBytes(bits)};
  std::optional<int64_t> bytes = elementsOf(blocks);
  return bytes ? checkedAdd(static_cast<uint64_t>(*bytes), groupHeader) : std::nullopt;
}

Result<std::vector<std::byte>> packGroups(std::span<const std::byte> rows,
                                          std::span<const int64_t> shape, int bits) {
  int64_t n = shape[0], k = shape[1], groups = (k + groupDepth - 1) / groupDepth;
  std::vector<float> numbers(static_cast<size_t>(n * k));
  std::memcpy(numbers.data(), rows.data(), rows.size());
  for (size_t i = 0; i < numbers.size(); ++i)
    if (!std::isfinite(numbers[i]))
      return Error{fmt::format("found {} at [{}, {}], expected finite numbers", numbers[i],
                               static_cast<int64_t>(i) / k, static_cast<int64_t>(i) % k)};
  float unit = unitFor(std::fabs(largestOf(numbers)), bits);
  std::vector<std::byte> packed(*bytesOfGroups(shape, bits));
  std::memcpy(packed.data(), &unit, sizeof unit);
  auto zero = static_cast<std::byte>(bits == 8 ? 128 : 0x88);
  for (int64_t panel = 0; panel * groupPanel < n; ++panel)
    for (int64_t g = 0; g < groups; ++g) {
      std::byte *block = packed.data() + blockPlace(panel, g, groups, bits);
      std::byte *integers = block + 2 * groupPanel;
      std::fill(integers, block + groupBytes(bits), zero);
      for (int64_t row = 0; row < std::min(groupPanel, n - panel * groupPanel); ++row) {
        auto from = static_cast<size_t>((panel * groupPanel + row) * k + g * groupDepth);
        auto count = static_cast<size_t>(std::min(groupDepth, k - g * groupDepth));
        Group group = quantiseGroup(std::span(numbers).subspan(from, count), bits, unit);
        uint16_t scale = storedScale(group.scale, unit);
        std::memcpy(block + 2 * row, &scale, sizeof scale);
        for (size_t i = 0; i < count; ++i) {
          Place place = placeOf(row, static_cast<int64_t>(i), bits);
          std::byte &to = integers[place.byte];
          if (bits == 8)
            to = static_cast<std::byte>(group.q[i] + 128);
          else
            to = (to & static_cast<std::byte>(0xf0 >> place.shift)) |
                 static_cast<std::byte>((group.q[i] + 8) << place.shift);
        }
      }
    }
  return packed;
}

void unpackGroups(std::span<const std::byte> packed, std::span<const int64_t> shape, int bits,
                  std::span<float> rows) {
  int64_t n = shape[0], k = shape[1], groups = (k + groupDepth - 1) / groupDepth;
  float unit;
  std::memcpy(&unit, packed.data(), sizeof unit);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t column = 0; column < k; ++column) {
      const std::byte *block =
          packed.data() + blockPlace(row / groupPanel, column / groupDepth, groups, bits);
      uint16_t scale;
      std::memcpy(&scale, block + 2 * (row % groupPanel), sizeof scale);
      Place place = placeOf(row % groupPanel, column % groupDepth, bits);
      int stored = static_cast<int>(block[2 * groupPanel + static_cast<int64_t>(place.byte)]);
      int q = bits == 8 ? stored - 128 : (stored >> place.shift & 15) - 8;
      rows[static_cast<size_t>(row * k + column)] =
          static_cast<float>(q) * (halfToFloat(scale) * unit);
    }
}

} // namespace rondo
