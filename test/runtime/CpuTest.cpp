// CpuTest.cpp - A level that the machine lacks, and a symbol that the code lacks, are refused by
// name.

#include "runtime/cpu.h"
#include "runtime/executor.h"
#include "test/runtime/Scratch.h"
#include "test/runtime/SmallModel.h"

#include <algorithm>
#include <fstream>

using namespace rondo;
using rondo::test::expectError;
using rondo::test::Scratch;

namespace {

Result<std::shared_ptr<const Program>>
loadChanged(const std::function<void(package::PackageT &)> &change, const std::string &isa = {}) {
  Scratch scratch;
  std::string path = scratch / "m.rpk";
  RONDO_CHECK(test::writeSmall(path, change));
  RONDO_TAKE(Package package, Package::open(path));
  return Program::load(std::move(package), isa);
}

} // namespace

TEST(Cpu, LevelsAreThoseOfTheSystem) {
  // The operating system prints the flags that it lets programs use.
  std::ifstream file("/proc/cpuinfo");
  std::string line, flags;
  while (std::getline(file, line) && flags.empty())
    if (line.starts_with("flags"))
      flags = line + " ";
  ASSERT_FALSE(flags.empty());
  auto has = [&](const char *flag) {
    return flags.find(std::string(" ") + flag + " ") != std::string::npos;
  };
  bool v3 = has("avx2") && has("fma") && has("bmi1") && has("bmi2") && has("f16c") &&
            has("movbe") && has("abm");
  bool v4 = v3 && has("avx512f") && has("avx512bw") && has("avx512cd") && has("avx512dq") &&
            has("avx512vl");
  std::vector<std::string> levels = supportedIsas(), expected;
  bool dots = v4 && has("avx512_bf16") && has("avx512_vnni");
  if (dots && has("amx_tile") && has("amx_bf16") && has("amx_int8"))
    expected.push_back("x86-64-v4-amx");
  if (dots)
    expected.push_back("x86-64-v4-bf16");
  if (v4)
    expected.push_back("x86-64-v4");
  if (v3)
    expected.push_back("x86-64-v3");
  EXPECT_EQ(levels, expected);
}

TEST(Cpu, TakesEachKernelAtTheBestLevelThatItHas) {
  auto add = [](package::PackageT &m, size_t kernel, const std::string &isa) {
    auto variant = std::make_unique<package::VariantT>(*m.kernels[kernel]->variants[0]);
    variant->isa = isa;
    m.kernels[kernel]->variants.push_back(std::move(variant));
  };
  auto ofAll = [&](package::PackageT &m) {
    for (const std::string &isa : isaNames())
      for (size_t i = 0; i < m.kernels.size() && isa != "x86-64-v3"; ++i)
        add(m, i, isa);
  };
  auto ofOne = [&](package::PackageT &m) {
    for (const std::string &isa : isaNames())
      if (isa != "x86-64-v3")
        add(m, 1, isa);
  };
  for (auto &[isa, expected] : {std::pair<std::string, std::string>{"", supportedIsas().front()},
                                {"x86-64-v3", "x86-64-v3"}}) {
    EXPECT_EQ((*loadChanged(ofAll, isa))->isa(), expected);
    EXPECT_EQ((*loadChanged(ofOne, isa))->isa(), expected);
  }
  EXPECT_EQ((*loadChanged({}))->isa(), "x86-64-v3");
  for (const std::string &isa : supportedIsas())
    if (isa != "x86-64-v3")
      expectError(loadChanged({}, isa), "--isa", "m.rpk", "'" + isa + "'", "x86-64-v3");
}

TEST(Cpu, RefusesUnknownLevels) {
  expectError(loadChanged({}, "avx9000"), "--isa", "'avx9000'", "x86-64");
}

TEST(Cpu, RefusesKernelsOfOtherProcessorsOnly) {
  expectError(loadChanged([](package::PackageT &m) { m.kernels[1]->variants[0]->isa = "riscv64"; }),
              "m.rpk", "no kernels for this machine", "expected variants of '", "for x86-64");
}

TEST(Cpu, RefusesMissingSymbols) {
  expectError(
      loadChanged([](package::PackageT &m) { m.kernels[1]->variants[0]->symbol = "nowhere"; }),
      "m.rpk", "code", "'nowhere'");
}

TEST(Cpu, RefusesCodeThatIsNoLibrary) {
  Scratch scratch;
  package::PackageT manifest = test::smallManifest();
  std::string text = "not an ELF file", path = scratch / "m.rpk";
  ASSERT_TRUE(writePackage(path, manifest, std::as_bytes(std::span(text)),
                           [&](size_t i) -> Result<std::vector<std::byte>> {
                             return std::vector<std::byte>(manifest.weights[i]->bytes);
                           }));
  auto package = Package::open(path);
  ASSERT_TRUE(package);
  expectError(Program::load(*std::move(package)), "m.rpk", "code", "expected a shared object");
}
