// brood run: one sandboxed process.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "batch/job.h"
#include "batch/process_runner.h"
#include "cli/commands.h"
#include "cli/copy_problems.h"
#include "cli/options.h"
#include "cli/own_terminal.h"
#include "cli/passed_descriptors.h"
#include "cli/run_remedy.h"
#include "cli/shared_options.h"
#include "cli/signals.h"
#include "cli/stack_lines.h"
#include "cli/supervise.h"
#include "launcher/process.h"

namespace brood {
namespace {

// Which of the options that bring the child about in another way go without a terminal.
absl::Status CheckOwnTerminal(const ParsedOptions& options) {
  if (!options.Has("--tty") || !options.Has("--server")) return absl::OkStatus();
  return absl::InvalidArgumentError("--tty: the child of a server has the streams that it is given; leave out --server");
}

absl::StatusOr<int> Run(const ParsedOptions& options, const JobDefaults& defaults, std::vector<InheritedFd> passed) {
  const bool tty = options.Has("--tty");
  BROOD_ASSIGN_OR_RETURN(std::unique_ptr<ProcessRunner> policies, ProcessRunner::Create(defaults));
  // It may be a FIFO that nobody reads yet: who waits for that is ended by a signal.
  BROOD_ASSIGN_OR_RETURN(const ResultFile result, ResultFile::Open(options, *policies->untrusted()));
  BROOD_ASSIGN_OR_RETURN(SignalSource signals, SignalSource::Create(tty ? SignalSource::Which::kOwnTerminal : SignalSource::Which::kEndsAndStops));
  LaunchOptions launch;
  launch.argv = options.operands();
  launch.env = defaults.env;
  launch.cwd = defaults.cwd;
  launch.tree_end = defaults.tree_end;
  launch.violation_stack = defaults.violation_stack;
  launch.isolation = defaults.isolation;
  launch.copy_in = defaults.copy_in;
  launch.copy_out = defaults.copy_out;
  launch.inherited = std::move(passed);
  BROOD_RETURN_IF_ERROR(policies->SetPolicyOf(Job{}, launch));
  std::optional<Process> process;
  JobEnd end;
  if (tty) {
    BROOD_ASSIGN_OR_RETURN(end.outcome, RunOnOwnTerminal(launch, signals, process));
  } else {
    BROOD_ASSIGN_OR_RETURN(end.outcome, StartAndSupervise([&launch] { return Process::Launch(launch); },
                                                          {[](const std::string& text) { PrintError("run", text); },
                                                           {.server = defaults.server, .server_uid = defaults.server_uid, .retry_lost = defaults.retry_lost}},
                                                          signals, process));
  }
  if (IsWorthALine(end.outcome)) {
    const std::string& program = launch.argv[0];
    PrintError("run", absl::StrCat(program, ": ", end.outcome.ToString(), RunRemedy(end.outcome, program, defaults)));
    for (const std::string& line : StackLines(end.outcome)) PrintError("run", line);
  }
  BROOD_RETURN_IF_ERROR(result.Write(launch.argv[0], end));
  for (const std::string& line : CopyProblemLines(end.outcome)) PrintError("run", line);
  return end.outcome.ShellExitCode();
}

}  // namespace

int RunMain(const std::vector<std::string>& args) {
  const absl::StatusOr<ParsedOptions> options = ParseOptions("run", args);
  if (!options.ok()) return ReportUsage("run", options.status(), kExitBroodFailed);
  if (options->operands().empty() || options->operands()[0].empty()) {
    return ReportUsage("run", absl::InvalidArgumentError("PROGRAM is missing"), kExitBroodFailed);
  }
  if (const absl::Status tty = CheckOwnTerminal(*options); !tty.ok()) return ReportUsage("run", tty, kExitBroodFailed);
  absl::StatusOr<std::vector<InheritedFd>> passed = ParsePassedDescriptors(options->Values("--pass-fd"));
  if (!passed.ok()) return ReportUsage("run", passed.status(), kExitBroodFailed);
  const absl::StatusOr<JobDefaults> defaults = ReadSharedOptions(*options);
  if (!defaults.ok()) return ReportUsage("run", defaults.status(), kExitBroodFailed);
  const absl::StatusOr<int> exit_code = Run(*options, *defaults, *std::move(passed));
  if (exit_code.ok()) return *exit_code;
  PrintError("run", exit_code.status().message());
  return kExitBroodFailed;
}

}  // namespace brood
