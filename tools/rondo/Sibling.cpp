// Sibling.cpp - The other programs of this build, started as processes.

#include "tools/rondo/Sibling.h"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

namespace rondo::cli {

std::optional<std::string> findProgram(const std::string &name) {
  auto usable = [](const std::string &path) {
    std::error_code ignored;
    return std::filesystem::is_regular_file(path, ignored) && access(path.c_str(), X_OK) == 0;
  };
  std::error_code failed;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (std::string beside = (self.parent_path() / name).string(); !failed && usable(beside))
    return beside;
  const char *path = std::getenv("PATH");
  for (std::string_view rest = path ? path : ""; !rest.empty();) {
    size_t end = std::min(rest.find(':'), rest.size());
    if (std::string candidate = fmt::format("{}/{}", rest.substr(0, end), name);
        end > 0 && usable(candidate))
      return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return std::nullopt;
}

Status runProgram(const std::vector<std::string> &arguments) {
  std::string shown;
  std::vector<char *> raw;
  for (const std::string &argument : arguments) {
    shown += (shown.empty() ? "" : " ") + argument;
    raw.push_back(const_cast<char *>(argument.c_str()));
  }
  raw.push_back(nullptr);

  int ends[2];
  if (pipe(ends) != 0)
    return Error{fmt::format("{}: cannot be started: {}", shown, std::strerror(errno))};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  posix_spawn_file_actions_addclose(&actions, ends[1]);
  pid_t child = 0;
  int failed = posix_spawn(&child, raw[0], &actions, nullptr, raw.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string output;
  char part[4096];
  for (ssize_t count; !failed && (count = read(ends[0], part, sizeof part)) != 0;) {
    if (count > 0)
      output.append(part, static_cast<size_t>(count));
    else if (errno != EINTR)
      break;
  }
  close(ends[0]);
  if (failed)
    return Error{fmt::format("{}: cannot be started: {}", shown, std::strerror(failed))};
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return {};
  std::string how = WIFEXITED(status) ? fmt::format("exit code {}", WEXITSTATUS(status))
                                      : fmt::format("signal {}", WTERMSIG(status));
  return Error{fmt::format("{}\n{} of: {}", output, how, shown)};
}

Result<ScratchFolder> ScratchFolder::create() {
  const char *base = std::getenv("TMPDIR");
  std::string pattern = std::string(base && *base ? base : "/tmp") + "/rondo-XXXXXX";
  if (!mkdtemp(pattern.data()))
    return Error{fmt::format("{}: cannot make a folder there: {}", pattern, std::strerror(errno))};
  ScratchFolder folder;
  folder.path = std::move(pattern);
  return folder;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (!path.empty())
    std::filesystem::remove_all(path, ignored);
}

} // namespace rondo::cli
