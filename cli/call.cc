// brood call: one function, in a process of its own.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "batch/function_job.h"
#include "batch/job.h"
#include "batch/process_runner.h"
#include "bootstrap/plugin.h"
#include "cli/call_list.h"
#include "cli/commands.h"
#include "cli/copy_problems.h"
#include "cli/options.h"
#include "cli/printable.h"
#include "cli/shared_options.h"
#include "cli/signals.h"
#include "cli/stack_lines.h"
#include "cli/supervise.h"
#include "launcher/context.h"

namespace brood {
namespace {

// What a child can say of its own set-up it has said on standard error, at full length.
bool ChildHasSaid(const Outcome& outcome) {
  const auto* setup = std::get_if<SetupFailed>(&outcome.ending);
  return setup != nullptr && setup->step == "bootstrap" && !absl::StartsWith(setup->detail, "the child ended before");
}

absl::StatusOr<int> Call(const ParsedOptions& options, const JobDefaults& defaults) {
  Job job;
  job.target = options.operands()[0];
  const std::vector<std::string> arguments(options.operands().begin() + 1, options.operands().end());
  // A server may have others than this program.
  if (defaults.server.empty()) BROOD_RETURN_IF_ERROR(CheckTarget(job.target));
  BROOD_ASSIGN_OR_RETURN(std::unique_ptr<ProcessRunner> policies, ProcessRunner::Create(defaults));
  // It may be a FIFO that nobody reads yet: who waits for that is ended by a signal.
  BROOD_ASSIGN_OR_RETURN(const ResultFile result, ResultFile::Open(options, *policies->untrusted()));
  const Context context(defaults.start_method, {.preload = defaults.preload});
  // A preload takes its time: until there is a child to pass a signal to, it ends us, and what preloads with us.
  if (defaults.server.empty() && !defaults.preload.empty()) BROOD_RETURN_IF_ERROR(context.StartServer());
  BROOD_ASSIGN_OR_RETURN(SignalSource signals, SignalSource::Create(SignalSource::Which::kEndsAndStops));
  LaunchOptions launch;
  launch.env = defaults.env;
  launch.cwd = defaults.cwd;
  launch.tree_end = defaults.tree_end;
  launch.violation_stack = defaults.violation_stack;
  launch.copy_in = defaults.copy_in;
  launch.copy_out = defaults.copy_out;
  BROOD_RETURN_IF_ERROR(policies->SetPolicyOf(job, launch));
  launch.isolation = defaults.isolation;
  BROOD_ASSIGN_OR_RETURN(const std::string target, ResolveTarget(job.target));
  ContextOptions lost_with = context.options();
  lost_with.server = defaults.server;
  lost_with.server_uid = defaults.server_uid;
  lost_with.retry_lost = defaults.retry_lost;
  std::optional<Process> process;
  JobEnd end;
  BROOD_ASSIGN_OR_RETURN(end.outcome, StartAndSupervise([&] { return context.LaunchByName(launch, target, JsonArguments(arguments)); },
                                                        {[](const std::string& text) { PrintError("call", text); }, lost_with}, signals, process));
  BROOD_ASSIGN_OR_RETURN(end.value, ReturnedJson(*process));
  if (IsWorthALine(end.outcome) && !ChildHasSaid(end.outcome)) {
    PrintError("call", absl::StrCat(job.target, ": ", end.outcome.ToString()));
    for (const std::string& line : StackLines(end.outcome)) PrintError("call", line);
  }
  if (end.value.has_value() && !PrintOut(absl::StrCat(*end.value, "\n"))) return kExitBroodFailed;
  std::optional<ServerReport> server;
  if (defaults.start_method == StartMethod::kForkServer && defaults.server.empty()) {
    // One that was killed since then reports nothing.
    if (absl::StatusOr<ServerReport> report = context.ReportServer(); report.ok()) server = *std::move(report);
  }
  BROOD_RETURN_IF_ERROR(result.Write(job.target, end, server));
  for (const std::string& line : CopyProblemLines(end.outcome)) PrintError("call", line);
  return end.outcome.ShellExitCode();
}

absl::StatusOr<int> List(const ParsedOptions& options, const JobDefaults& defaults) {
  std::vector<TargetLine> lines;
  if (options.operands().empty()) {
    lines = TargetsOfProgram();
  } else {
    BROOD_ASSIGN_OR_RETURN(lines, TargetsOfPlugin(options.operands()[0], defaults));
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const auto& [name, signature] : lines) absl::StrAppend(&text, Printable(name), Printable(signature), "\n");
  return PrintOut(text) ? kExitOk : kExitBroodFailed;
}

}  // namespace

int CallMain(const std::vector<std::string>& args) {
  const absl::StatusOr<ParsedOptions> options = ParseOptions("call", args);
  if (!options.ok()) return ReportUsage("call", options.status(), kExitBroodFailed);
  const bool list = options->Has("--list");
  if (!list && (options->operands().empty() || options->operands()[0].empty())) {
    return ReportUsage("call", absl::InvalidArgumentError("TARGET is missing"), kExitBroodFailed);
  }
  if (list && options->operands().size() > 1) {
    return ReportUsage("call", absl::InvalidArgumentError(absl::StrCat("--list takes one PATH", kPluginSuffix, ", or nothing")), kExitBroodFailed);
  }
  const absl::StatusOr<JobDefaults> defaults = ReadSharedOptions(*options);
  if (!defaults.ok()) return ReportUsage("call", defaults.status(), kExitBroodFailed);
  const absl::StatusOr<int> exit_code = list ? List(*options, *defaults) : Call(*options, *defaults);
  if (exit_code.ok()) return *exit_code;
  PrintError("call", exit_code.status().message());
  return kExitBroodFailed;
}

}  // namespace brood
