// brood run: one sandboxed process.
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "batch/job.h"
#include "batch/process_runner.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/printable.h"
#include "cli/shared_options.h"
#include "cli/signals.h"
#include "cli/supervise.h"
#include "launcher/process.h"
#include "sandbox/learn/rule_text.h"
#include "sandbox/policy.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {
namespace {

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

// The rule that would allow a violation; what to change if the program is only hidden: with most policies nothing of this
// machine is visible unasked.
std::string Remedy(const Outcome& outcome, const std::string& program, const std::string& policy) {
  if (const auto* violation = std::get_if<Violation>(&outcome.ending); violation != nullptr) {
    if (violation->syscall == "unknown" || violation->arch != ArchName(NativeArch(), 0)) return "";
    const bool builtin = BuiltinPolicyText(policy).ok();
    return absl::StrCat("; allowed by ", AllowRuleText(violation->syscall, violation->args), " in \"syscalls\" of ",
                        builtin ? "a policy that extends " : "", policy.empty() ? "the server's policy" : policy);
  }
  const auto* setup = std::get_if<SetupFailed>(&outcome.ending);
  const bool hidden = setup != nullptr && setup->step == "exec" && setup->error_number == ENOENT;
  // The launcher says more in its detail when the program is there and something that it needs is not.
  if (!hidden || setup->detail.find(' ') != program.find(' ')) return "";
  const std::string outside = PathOutside(program);
  return outside.empty() ? "" : absl::StrCat("; not visible inside, --ro ", ShellCommand({outside}), " shows it");
}

absl::StatusOr<int> Run(const ParsedOptions& options, const JobDefaults& defaults) {
  BROOD_ASSIGN_OR_RETURN(SignalSource signals, SignalSource::Create({SIGTSTP, SIGWINCH}));
  BROOD_ASSIGN_OR_RETURN(const ResultFile result, ResultFile::Open(options));
  BROOD_ASSIGN_OR_RETURN(std::unique_ptr<ProcessRunner> policies, ProcessRunner::Create(defaults));
  LaunchOptions launch;
  launch.argv = options.operands();
  launch.env = defaults.env;
  launch.cwd = defaults.cwd;
  launch.tree_end = defaults.tree_end;
  BROOD_RETURN_IF_ERROR(policies->SetPolicyOf(Job{}, launch));
  BROOD_ASSIGN_OR_RETURN(Process process, Process::Launch(launch));
  JobEnd end;
  BROOD_ASSIGN_OR_RETURN(end.outcome, Supervise(process, signals));
  if (IsWorthALine(end.outcome)) {
    const std::string& program = launch.argv[0];
    PrintError("run", absl::StrCat(program, ": ", end.outcome.ToString(), Remedy(end.outcome, program, defaults.policy)));
  }
  BROOD_RETURN_IF_ERROR(result.Write(launch.argv[0], end));
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
