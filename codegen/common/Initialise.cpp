//===- Initialise.cpp - Parameters without a checkpoint -------------------===//

#include "codegen/common/Initialise.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/xxhash.h"
#include <cmath>
#include <numbers>

using namespace rondo;

std::optional<Initialiser> Initialiser::parse(llvm::StringRef text, std::string &why) {
  why.clear();
  text = text.trim();
  auto [name, rest] = text.split('(');
  name = name.trim();
  llvm::SmallVector<double> numbers;
  if (text.contains('(')) {
    rest = rest.rtrim();
    if (!rest.consume_back(")")) {
      why = "expected ')' at the end";
      return std::nullopt;
    }
    llvm::SmallVector<llvm::StringRef> parts;
    if (!rest.trim().empty())
      rest.split(parts, ',');
    for (llvm::StringRef part : parts)
      if (part.trim().getAsDouble(numbers.emplace_back())) {
        why = "expected a number, found '" + part.trim().str() + "'";
        return std::nullopt;
      }
  }
  struct Form {
    llvm::StringRef name;
    size_t numbers;
    Initialiser value;
  };
  auto number = [&](size_t i) { return i < numbers.size() ? numbers[i] : 0.0; };
  const Form forms[] = {{"zeros", 0, {Kind::Constant, 0, 0}},
                        {"ones", 0, {Kind::Constant, 1, 0}},
                        {"constant", 1, {Kind::Constant, number(0), 0}},
                        {"uniform", 1, {Kind::Uniform, -number(0), number(0)}},
                        {"uniform", 2, {Kind::Uniform, number(0), number(1)}},
                        {"normal", 1, {Kind::Normal, 0, number(0)}}};
  for (const Form &form : forms)
    if (form.name == name) {
      if (form.numbers == numbers.size())
        return form.value;
      why += (why.empty() ? "'" + name.str() + "' takes " : " or ") + std::to_string(form.numbers);
    }
  if (!why.empty()) {
    why += " numbers, found " + std::to_string(numbers.size());
    return std::nullopt;
  }
  if (double value; !text.getAsDouble(value))
    return Initialiser{Kind::Constant, value, 0};
  why =
      "found '" + text.str() +
      "'; expected a number, zeros, ones, constant(c), uniform(a), uniform(a, b) or normal(sigma)";
  return std::nullopt;
}

namespace {
/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  double inUnit() { return double(next() >> 11) * 0x1p-53; } // [0, 1)
};
} // namespace

std::vector<float> Initialiser::fill(llvm::StringRef path, uint64_t seed, int64_t elements) const {
  std::vector<float> values(elements, float(a));
  Random random{llvm::xxh3_64bits(path) ^ (seed * 0x9e3779b97f4a7c15)};
  if (kind == Kind::Uniform)
    for (float &value : values)
      value = float(a + (b - a) * random.inUnit());
  if (kind == Kind::Normal)
    // Box and Muller: two uniforms make two normals.
    for (size_t i = 0; i < values.size(); i += 2) {
      double radius = b * std::sqrt(-2 * std::log(1 - random.inUnit())),
             angle = 2 * std::numbers::pi * random.inUnit();
      double sine = 0, cosine = 0;
      ::sincos(angle, &sine, &cosine);
      values[i] = float(radius * cosine);
      if (i + 1 < values.size())
        values[i + 1] = float(radius * sine);
    }
  return values;
}
