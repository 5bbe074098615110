// Command.h - What every subcommand of `rondo` is: options on a CLI11 app, and something to run.

#ifndef RONDO_TOOLS_RONDO_COMMAND_H
#define RONDO_TOOLS_RONDO_COMMAND_H

#include "runtime/error.h"

#include <CLI/CLI.hpp>
#include <functional>

namespace rondo::cli {

/// The exit code, or an error that is shown to the user (exit code 1).
using Action = std::function<Result<int>()>;

/// Exit codes: success, a failure that was reported, a command line that cannot be understood.
enum ExitCode { Success = 0, Failure = 1, Usage = 2 };

struct Command {
  CLI::App *app;
  Action run;
};

// Each adds its subcommand to `app`; options live as long as the action.
Command addRun(CLI::App &app);
Command addScore(CLI::App &app);
Command addEmbed(CLI::App &app);
Command addEval(CLI::App &app);
Command addBench(CLI::App &app);
Command addVerify(CLI::App &app);
Command addInspect(CLI::App &app);
Command addMachine(CLI::App &app);

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_COMMAND_H
