// VerifyTest.cpp - `rondo verify` finds what is wrong with a package: each case breaks one promise
// of a model made by hand.

#include "test/runtime/Scratch.h"
#include "test/runtime/SmallModel.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

using namespace rondo;
using namespace rondo::test;

namespace {

struct Verified {
  int exitCode = -1;
  nlohmann::json report;

  std::string resultOf(const std::string &comparison) const {
    for (const auto &line : report["comparisons"])
      if (line["comparison"].get<std::string>().find(comparison) != std::string::npos)
        return line["result"];
    return "missing";
  }
};

/// The model with `change`, verified; the interpreter has no meaning to compare with.
Verified verify(const std::function<void(package::PackageT &)> &change,
                const std::string &flags = "--no-reference") {
  Scratch scratch;
  std::string path = scratch / "small.rpk", output = scratch / "report.json";
  Status written = writeSmall(path, change);
  EXPECT_TRUE(written) << (written ? "" : written.error().message);
  int status = std::system((std::string(RONDO_PROGRAM) + " verify " + path + " --json " + flags +
                            " >" + output + " 2>/dev/null")
                               .c_str());
  Verified result;
  result.exitCode = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  std::ifstream file(output);
  result.report = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  return result;
}

/// Its prefill and step give twice the last row, which is another function than forward.
void keepForward(package::PackageT &package) {
  std::erase_if(package.entries, [](const auto &entry) {
    return entry->name == "prefill" || entry->name == "step";
  });
}

void dropSteps(package::PackageT &package, package::StepKind kind) {
  for (auto &entry : package.entries)
    std::erase_if(entry->steps, [&](const auto &step) { return step->kind == kind; });
}

} // namespace

TEST(Verify, AcceptsAGoodModel) {
  Verified result = verify(keepForward);
  EXPECT_EQ(result.exitCode, 0);
  EXPECT_EQ(result.report["passed"], true);
  EXPECT_EQ(result.resultOf("token by token"), "pass");
}

TEST(Verify, FindsATailThatIsNotKept) {
  Verified result = verify([](package::PackageT &p) {
    keepForward(p);
    dropSteps(p, package::StepKind::Tail);
  });
  EXPECT_EQ(result.exitCode, 1);
  EXPECT_EQ(result.report["passed"], false);
  EXPECT_EQ(result.resultOf("token by token"), "fail");
  EXPECT_EQ(result.resultOf("pieces of 17"), "fail");
  EXPECT_EQ(result.resultOf("1 thread = 2"), "pass");
}

TEST(Verify, FindsAStepThatComputesSomethingElse) {
  Verified result = verify({});
  EXPECT_EQ(result.exitCode, 1);
  EXPECT_EQ(result.resultOf("step token by token"), "fail");
  EXPECT_EQ(result.resultOf("forward token by token"), "pass");
}

TEST(Verify, FindsAMissingInterpreterUnlessToldToLeaveItOut) {
  // Neither beside a copy of the program nor on PATH.
  Scratch scratch;
  std::filesystem::copy(RONDO_PROGRAM, scratch / "rondo");
  ASSERT_TRUE(writeSmall(scratch / "small.rpk", keepForward));
  std::string command = "PATH= " + (scratch / "rondo") + " verify " + (scratch / "small.rpk") +
                        " >" + (scratch / "out") + " 2>&1";
  int status = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
  std::ifstream file(scratch / "out");
  std::string text(std::istreambuf_iterator<char>(file), {});
  EXPECT_NE(text.find("not compared: rondo-interp not found"), std::string::npos) << text;
  EXPECT_EQ(WEXITSTATUS(std::system((command + " --no-reference").c_str())), 0);
}
