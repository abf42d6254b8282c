// brood run: one sandboxed process.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "batch/job.h"
#include "batch/process_runner.h"
#include "batch/result_json.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/printable.h"
#include "cli/shared_options.h"
#include "cli/signals.h"
#include "launcher/process.h"

namespace brood {
namespace {

// Whether the terminal has sent the signal to the child as well.
bool ReachedChildAlready(const CaughtSignal& caught, pid_t child) {
  return caught.from_terminal && child > 0 && getpgid(child) == getpgrp();
}

// What the terminal sends to its foreground group goes to the child's whole group, which has a session of its own and
// would else get nothing of it.
absl::Status Forward(Process& process, const CaughtSignal& caught) {
  if (ReachedChildAlready(caught, process.pid())) return absl::OkStatus();
  return caught.from_terminal ? process.SignalGroup(caught.number) : process.Signal(caught.number);
}

// Stops the child and this process until the shell lets them go on. A child in a session of its own would take SIGTSTP
// for nothing, because its group is orphaned, and would go on reading the terminal. setpgid(2), signal(7).
absl::Status Stop(Process& process, const CaughtSignal& caught) {
  const bool ours = !ReachedChildAlready(caught, process.pid());
  if (ours) BROOD_RETURN_IF_ERROR(process.SignalGroup(SIGSTOP));
  kill(getpid(), SIGSTOP);
  return ours ? process.SignalGroup(SIGCONT) : absl::OkStatus();
}

// Waits for the end. The first signal is forwarded, a second one kills the tree.
absl::StatusOr<Outcome> Supervise(Process& process, SignalSource& signals) {
  bool forwarded = false;
  while (true) {
    pollfd entries[] = {{.fd = process.sentinel(), .events = POLLIN}, {.fd = signals.fd(), .events = POLLIN}};
    if (poll(entries, 2, -1) < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    if (entries[0].revents != 0) return process.Join();
    while (const std::optional<CaughtSignal> caught = signals.Next()) {
      if (caught->number == SIGTSTP) {
        BROOD_RETURN_IF_ERROR(Stop(process, *caught));
      } else if (caught->number == SIGWINCH) {
        BROOD_RETURN_IF_ERROR(Forward(process, *caught));
      } else if (forwarded) {
        BROOD_RETURN_IF_ERROR(process.Kill());
      } else {
        BROOD_RETURN_IF_ERROR(Forward(process, *caught));
        forwarded = true;
      }
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

// Where the program is outside of the sandbox, as the caller would find it; "" if nowhere.
std::string PathOutside(const std::string& program) {
  std::vector<std::string> candidates = {program};
  if (program.find('/') == std::string::npos) {
    const char* path = std::getenv("PATH");
    candidates = absl::StrSplit(path != nullptr ? path : "", ':', absl::SkipEmpty());
    for (std::string& candidate : candidates) absl::StrAppend(&candidate, "/", program);
  }
  for (const std::string& candidate : candidates) {
    std::error_code error;
    if (access(candidate.c_str(), X_OK) == 0) return std::filesystem::absolute(candidate, error).lexically_normal();
  }
  return "";
}

// What to change if the program is only hidden: with most policies nothing of this machine is visible unasked.
std::string Remedy(const Outcome& outcome, const std::string& program) {
  const auto* setup = std::get_if<SetupFailed>(&outcome.ending);
  const bool hidden = setup != nullptr && setup->step == "exec" && setup->error_number == ENOENT;
  // The launcher says more in its detail when the program is there and something that it needs is not.
  if (!hidden || setup->detail.find(' ') != program.find(' ')) return "";
  const std::string outside = PathOutside(program);
  return outside.empty() ? "" : absl::StrCat("; not visible inside, --ro ", ShellCommand({outside}), " shows it");
}

absl::StatusOr<int> Run(const ParsedOptions& options, const JobDefaults& defaults) {
  BROOD_ASSIGN_OR_RETURN(SignalSource signals, SignalSource::Create({SIGTSTP, SIGWINCH}));
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
  if (IsWorthALine(end.outcome)) {
    const std::string& program = launch.argv[0];
    PrintError("run", absl::StrCat(program, ": ", end.outcome.ToString(), Remedy(end.outcome, program)));
  }
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
