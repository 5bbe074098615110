// main.cpp - The program `rondo`: runs, measures, checks and shows packages that rondoc made.
//
// Results go to stdout, everything else to stderr. Exit codes: 0, 1 after an error that was shown,
// 2 for a command line that cannot be understood.

#include "tools/rondo/Command.h"
#include "tools/rondo/Session.h"

#include <cstdio>
#include <new>
#include <string_view>
#include <vector>

using namespace rondo;
using namespace rondo::cli;

static int runCommand(int argc, char **argv) {
  CLI::App app("Runs, measures, checks and shows packages (.rpk) that rondoc made.", "rondo");
  app.set_version_flag("--version", "rondo " RONDO_VERSION);
  app.footer("Examples:\n"
             "  rondo run model.rpk -p \"Once upon a time\" -n 64 --temp 0\n"
             "  rondo score model.rpk heldout.txt\n"
             "  rondo verify model.rpk\n"
             "`rondo COMMAND --help` says more. Exit codes: 0 success, 1 failure, 2 wrong usage.");
  app.require_subcommand(1);
  const Command commands[] = {addRun(app),   addScore(app),  addEmbed(app),   addEval(app),
                              addBench(app), addVerify(app), addInspect(app), addMachine(app)};
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? Success : Usage;
  }
  for (const Command &command : commands) {
    if (!command.app->parsed())
      continue;
    Result<int> code = command.run();
    if (!code) {
      std::fflush(stdout);
      std::fprintf(stderr, "error: %s\n", code.error().message.c_str());
      return Failure;
    }
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
      std::fprintf(stderr, "error: stdout: could not be written\n");
      return Failure;
    }
    return *code;
  }
  return Usage;
}

/// The command line of a program with a linked package: `model -p TEXT` is `rondo run PKG -p TEXT`,
/// `model score FILE` is `rondo score PKG FILE`.
static std::vector<char *> withLinkedPackage(int argc, char **argv) {
  static char run[] = "run";
  static std::string package(linkedName);
  std::vector<char *> arguments(argv, argv + argc);
  std::string_view first = argc > 1 ? argv[1] : "";
  if (first == "-h" || first == "--help" || first == "--version")
    return arguments;
  if (first.empty() || first[0] == '-')
    arguments.insert(arguments.begin() + 1, run);
  arguments.insert(arguments.begin() + 2, package.data());
  return arguments;
}

int main(int argc, char **argv) {
  try {
    if (linkedPackage().empty())
      return runCommand(argc, argv);
    std::vector<char *> arguments = withLinkedPackage(argc, argv);
    return runCommand(static_cast<int>(arguments.size()), arguments.data());
  } catch (const std::bad_alloc &) {
    std::fprintf(stderr, "error: not enough memory\n");
    return Failure;
  }
}
