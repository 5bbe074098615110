// MachineTest.cpp - The machine's description is kept, and what is kept is believed only when
// whole.

#include "runtime/machine.h"
#include "runtime/cpu.h"
#include "runtime/file.h"
#include "test/runtime/Scratch.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace rondo;
using rondo::test::Scratch;

namespace {

std::string onlyFile(const std::string &folder) {
  std::string path;
  for (const auto &entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_TRUE(path.empty()) << "more than one file in " << folder;
    path = entry.path();
  }
  return path;
}

} // namespace

TEST(Machine, IsMeasuredOnceAndKept) {
  ThreadPool pool(1);
  Scratch scratch;
  std::string folder = scratch / "cache";
  MachineDescription first = describeMachine(pool, folder);
  EXPECT_EQ(first.threads, 1);
  EXPECT_EQ(first.processor, processorName());
  ASSERT_GE(first.reads.size(), 2u);
  for (const ReadSpeed &read : first.reads)
    EXPECT_GT(read.bytesPerSecond, 1e8); // no memory is slower
  if (!supportedIsas().empty()) {
    EXPECT_GT(first.f32Peak, 1e9);
    EXPECT_LT(first.f32Peak, 1e12);
  }
  // A figure put into the file comes back: nothing was measured again.
  std::string path = onlyFile(folder);
  nlohmann::json kept = nlohmann::json::parse(std::ifstream(path));
  kept["f32_peak"] = 12345.0;
  std::ofstream(path) << kept.dump();
  EXPECT_EQ(describeMachine(pool, folder).f32Peak, 12345.0);
  // Until it is damaged.
  std::ofstream(path) << "{\"f32_peak\": \"fast\"}";
  MachineDescription again = describeMachine(pool, folder);
  EXPECT_NE(again.f32Peak, 12345.0);
  EXPECT_EQ(again.reads.size(), first.reads.size());
}
