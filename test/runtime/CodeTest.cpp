// CodeTest.cpp - Kernels of several packages in one process.

#include "runtime/code.h"
#include "runtime/file.h"
#include "test/runtime/Scratch.h"

#include <gtest/gtest.h>

using namespace rondo;
using namespace rondo::test;

/// The test's kernels, every `from` in them (names too) replaced.
static std::string kernelsWith(const std::string &from, const std::string &to) {
  auto text = readText(RONDO_TEST_KERNELS);
  EXPECT_TRUE(text);
  for (size_t at = 0; (at = text->find(from, at)) != std::string::npos; at += to.size())
    text->replace(at, from.size(), to);
  return *text;
}

TEST(Code, LoadsEachPackagesOwnKernels) {
  std::string one = kernelsWith("embed", "embed"), other = kernelsWith("embed", "embex");
  auto first = KernelCode::load(std::as_bytes(std::span(one)), "first");
  auto second = KernelCode::load(std::as_bytes(std::span(other)), "second");
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  EXPECT_NE(first->find("embed"), nullptr);
  EXPECT_EQ(second->find("embed"), nullptr) << "the second package got the first one's code";
  EXPECT_NE(second->find("shift"), nullptr);
  EXPECT_NE(first->find("shift"), second->find("shift"));
}

TEST(Code, LoadsAnotherAfterOneIsGone) {
  std::string one = kernelsWith("embed", "embed"), other = kernelsWith("embed", "embex");
  ASSERT_TRUE(KernelCode::load(std::as_bytes(std::span(one)), "first"));
  auto second = KernelCode::load(std::as_bytes(std::span(other)), "second");
  ASSERT_TRUE(second);
  EXPECT_EQ(second->find("embed"), nullptr);
}

TEST(Code, RefusesWhatIsNoSharedObject) {
  std::string text(5000, 'x');
  expectError(KernelCode::load(std::as_bytes(std::span(text)), "m.rpk"), "m.rpk", "code section",
              "expected");
}
