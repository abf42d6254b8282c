// brood run: one sandboxed process.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "batch/job.h"
#include "batch/process_runner.h"
#include "batch/result_json.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/shared_options.h"
#include "cli/signals.h"
#include "launcher/process.h"

namespace brood {
namespace {

// Whether the terminal has sent the signal to the child as well.
bool ReachedChildAlready(const CaughtSignal& caught, pid_t child) {
  return caught.from_terminal && child > 0 && getpgid(child) == getpgrp();
}

// Waits for the end. The first signal is forwarded, a second one kills the tree.
absl::StatusOr<Outcome> Supervise(Process& process, SignalSource& signals) {
  bool forwarded = false;
  while (true) {
    pollfd entries[] = {{.fd = process.sentinel(), .events = POLLIN}, {.fd = signals.fd(), .events = POLLIN}};
    if (poll(entries, 2, -1) < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    if (entries[0].revents != 0) return process.Join();
    while (const std::optional<CaughtSignal> caught = signals.Next()) {
      if (forwarded) {
        BROOD_RETURN_IF_ERROR(process.Kill());
      } else if (!ReachedChildAlready(*caught, process.pid())) {
        BROOD_RETURN_IF_ERROR(process.Signal(caught->number));
      }
      forwarded = true;
    }
  }
}

absl::Status WriteResult(int fd, std::string_view name, std::string line) {
  line += '\n';
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t count = write(fd, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "write", name);
    rest.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

// What ended it otherwise than the program itself is told; the rest is for the exit status to say.
bool IsWorthALine(const Outcome& outcome) {
  return !std::holds_alternative<Exited>(outcome.ending) && !std::holds_alternative<Signaled>(outcome.ending);
}

absl::StatusOr<int> Run(const ParsedOptions& options, const JobDefaults& defaults) {
  BROOD_ASSIGN_OR_RETURN(SignalSource signals, SignalSource::Create());
  // Before the program runs: it must not do its work only for its result to be lost.
  UniqueFd result_file;
  const std::string result_path = options.Value("--result");
  if (!result_path.empty() && result_path != "-") {
    result_file = UniqueFd(open(result_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!result_file.valid()) return ErrnoStatus(errno, "open", result_path);
  }
  BROOD_ASSIGN_OR_RETURN(std::unique_ptr<ProcessRunner> policies, ProcessRunner::Create(defaults));
  LaunchOptions launch;
  launch.argv = options.operands();
  launch.env = defaults.env;
  launch.cwd = defaults.cwd;
  launch.tree_end = defaults.tree_end;
  BROOD_ASSIGN_OR_RETURN(launch.policy, policies->PolicyOf(Job{}));
  BROOD_ASSIGN_OR_RETURN(Process process, Process::Launch(launch));
  JobEnd end;
  BROOD_ASSIGN_OR_RETURN(end.outcome, Supervise(process, signals));
  if (IsWorthALine(end.outcome)) PrintError("run", absl::StrCat(launch.argv[0], ": ", end.outcome.ToString()));
  if (!result_path.empty()) {
    const std::string line = ResultLine(launch.argv[0], 1, end, ResultStreams::kInherited);
    BROOD_RETURN_IF_ERROR(WriteResult(result_file.valid() ? result_file.get() : STDOUT_FILENO, result_path, line));
  }
  return end.outcome.ShellExitCode();
}

}  // namespace

int RunMain(const std::vector<std::string>& args) {
  const absl::StatusOr<ParsedOptions> options = ParseOptions("run", args);
  if (!options.ok()) return ReportUsage("run", options.status(), kExitBroodFailed);
  if (options->operands().empty() || options->operands()[0].empty()) {
    return ReportUsage("run", absl::InvalidArgumentError("PROGRAM is missing"), kExitBroodFailed);
  }
  const absl::StatusOr<JobDefaults> defaults = ReadSharedOptions(*options);
  if (!defaults.ok()) return ReportUsage("run", defaults.status(), kExitBroodFailed);
  const absl::StatusOr<int> exit_code = Run(*options, *defaults);
  if (exit_code.ok()) return *exit_code;
  PrintError("run", exit_code.status().message());
  return kExitBroodFailed;
}

}  // namespace brood
