// main.cpp - The program `rondo`: runs, measures, checks and shows packages that rondoc made.
//
// Results go to stdout, everything else to stderr. Exit codes: 0, 1 after an error that was shown, 2 for a command line that cannot be understood.

#include "tools/rondo/Command.h"

#include <cstdio>
#include <new>

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
  const Command commands[] = {addRun(app),   addScore(app),  addEval(app),
                              addBench(app), addVerify(app), addInspect(app)};
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

int main(int argc, char **argv) {
  try {
    return runCommand(argc, argv);
  } catch (const std::bad_alloc &) {
    std::fprintf(stderr, "error: not enough memory\n");
    return Failure;
  }
}
