#include "cli/demo.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "batch/process_runner.h"
#include "batch/result_json.h"
#include "batch/scheduler.h"
#include "cli/commands.h"
#include "cli/demo_attacks.h"
#include "cli/demo_jobs.h"
#include "cli/demo_report.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/runfiles.h"
#include "cli/signals.h"
#include "launcher/process.h"

namespace brood {
namespace {

constexpr size_t kLeastJobs = 300;

// Keeps the end of each job, and a line of progress on a terminal.
class Collector : public BatchListener {
 public:
  explicit Collector(std::string title) : progress_(Progress::When::kAuto, std::move(title)) {}

  absl::Status OnResult(const JobResult& result) override {
    ends_.emplace(result.job, result.end);
    return absl::OkStatus();
  }

  void OnProgress(const BatchSummary& so_far) override { progress_.Update(so_far); }
  void Clear() { progress_.Clear(); }

  // Null if the batch was stopped before the job ended.
  const JobEnd* Find(const Job& job) const {
    const auto found = ends_.find(&job);
    return found == ends_.end() ? nullptr : &found->second;
  }

 private:
  Progress progress_;
  std::map<const Job*, JobEnd> ends_;
};

// One line for a machine that can't do it at all, instead of hundreds of jobs that could not be started.
absl::Status CheckStrict() {
  LaunchOptions options;
  options.argv = {"/bin/true"};
  options.stdin_spec = options.stdout_spec = options.stderr_spec = Stdio::Null();
  BROOD_ASSIGN_OR_RETURN(const Policy policy, BuiltinPolicy("strict"));
  BROOD_ASSIGN_OR_RETURN(options.policy, CompilePolicy(policy));
  const absl::StatusOr<Process> process = Process::Start(options);
  return process.ok() ? absl::OkStatus() : Annotate(process.status(), "policy \"strict\"");
}

absl::StatusOr<BatchSummary> Run(const std::vector<Job>& jobs, const JobDefaults& defaults, int parallel,
                                 int interrupt_fd, Collector& collector) {
  BROOD_ASSIGN_OR_RETURN(const std::unique_ptr<ProcessRunner> runner, ProcessRunner::Create(defaults));
  SchedulerOptions options;
  options.parallel = parallel;
  options.interrupt_fd = interrupt_fd;
  absl::StatusOr<BatchSummary> summary = RunJobs(jobs, options, *runner, collector);
  collector.Clear();
  return summary;
}

// The attacks evenly among the honest jobs.
std::vector<Job> Mix(const std::vector<Job>& honest, const std::vector<Attack>& attacks) {
  std::vector<Job> mixed;
  mixed.reserve(honest.size() + attacks.size());
  size_t next = 0;
  for (size_t i = 0; i < honest.size(); ++i) {
    for (; next < attacks.size() && next * honest.size() <= i * attacks.size(); ++next)
      mixed.push_back(attacks[next].job);
    mixed.push_back(honest[i]);
  }
  for (; next < attacks.size(); ++next) mixed.push_back(attacks[next].job);
  return mixed;
}

// Nothing if interrupted.
absl::StatusOr<std::optional<DemoReport>> RunDemo(size_t wanted) {
  BROOD_ASSIGN_OR_RETURN(const std::string programs, RunfilesDirectory("tests/programs/bin"));
  BROOD_ASSIGN_OR_RETURN(const SignalSource interrupts, SignalSource::Create());
  BROOD_RETURN_IF_ERROR(CheckStrict());
  BROOD_ASSIGN_OR_RETURN(DemoTargets targets, DemoTargets::Create(programs));
  BROOD_ASSIGN_OR_RETURN(const std::vector<Attack> attacks, HostileJobs(programs, targets));
  const HonestJobs honest = FindHonestJobs(wanted);
  if (honest.jobs.size() < std::min(wanted, kLeastJobs)) {
    return absl::FailedPreconditionError(absl::StrCat("find files to work on: only ", honest.jobs.size(), " of ",
                                                      wanted, " jobs; ", absl::StrJoin(honest.notes, "; ")));
  }

  DemoReport report;
  report.kinds = honest.kinds;
  report.notes = honest.notes;
  // Hostile jobs that wait for their time limit hold a place and use no CPU.
  report.parallel = AvailableCpus() + 2;

  JobDefaults defaults;
  defaults.capture_bytes = uint64_t{8} << 20;
  defaults.policy = "strict";
  // Without cgroups it must do; the spinner, whose limit it is, has no children that it could miss.
  defaults.options.allow_weaker.insert(Layer::kCpuTime);
  const std::vector<Job> mixed = Mix(honest.jobs, attacks);
  Collector sandboxed("sandboxed: ");
  BROOD_ASSIGN_OR_RETURN(const BatchSummary summary,
                         Run(mixed, defaults, report.parallel, interrupts.fd(), sandboxed));
  if (summary.interrupted) return std::optional<DemoReport>();
  report.sandboxed_time = summary.wall_time;

  std::map<std::string, const JobEnd*> ends;
  for (const Job& job : mixed) ends[job.id] = sandboxed.Find(job);
  for (const Attack& attack : attacks) {
    const JobEnd* end = ends[attack.job.id];
    if (end == nullptr) return absl::InternalError(absl::StrCat("no result of ", attack.job.id));
    report.hostile.push_back({.what = attack.what,
                              .status = std::string(end->outcome.StatusWord()),
                              .stopped_by = StoppedBy(*end),
                              .problem = Judge(attack, *end),
                              .result = ResultLine(attack.job.id, 1, *end)});
  }

  // The control run: the same jobs with the same environment, without a sandbox.
  defaults.policy = "none";
  defaults.options.environment = EnvironmentBase::kMinimal;
  Collector plain("without a sandbox: ");
  BROOD_ASSIGN_OR_RETURN(const BatchSummary control,
                         Run(honest.jobs, defaults, report.parallel, interrupts.fd(), plain));
  if (control.interrupted) return std::optional<DemoReport>();
  report.plain_time = control.wall_time;
  for (const Job& job : honest.jobs) {
    const JobEnd* with = ends[job.id];
    const JobEnd* without = plain.Find(job);
    if (with == nullptr || without == nullptr) return absl::InternalError(absl::StrCat("no result of ", job.id));
    report.honest.push_back({.id = job.id,
                             .difference = Difference(*with, *without),
                             .exit_code = without->outcome.exit_code(),
                             .bytes = without->stdout_stream.content.size() + without->stderr_stream.content.size()});
    if (report.enforced.empty()) {
      for (const auto& [layer, by] : with->outcome.enforced) report.enforced.emplace_back(LayerName(layer), by);
    }
  }
  return std::optional<DemoReport>(std::move(report));
}

}  // namespace

int DemoMain(const std::vector<std::string>& args) {
  const absl::StatusOr<ParsedOptions> options = ParseOptions("demo", args);
  if (!options.ok()) return ReportUsage("demo", options.status(), kExitUsage);
  if (!options->operands().empty()) {
    return ReportUsage("demo", absl::InvalidArgumentError("takes no operands"), kExitUsage);
  }
  constexpr size_t kMostJobs = 100000;
  size_t jobs = 0;
  const std::string wanted = options->Value("--jobs", "320");
  if (!absl::SimpleAtoi(wanted, &jobs) || jobs == 0 || jobs > kMostJobs) {
    return ReportUsage(
        "demo", absl::InvalidArgumentError(absl::StrCat("--jobs: expected 1 to ", kMostJobs, ", got \"", wanted, "\"")),
        kExitUsage);
  }
  const std::string json = options->Value("--json");

  const absl::StatusOr<std::optional<DemoReport>> report = RunDemo(jobs);
  if (!report.ok()) {
    PrintError("demo", report.status().message());
    return kExitBroodFailed;
  }
  if (!report->has_value()) {
    PrintError("demo", "interrupted");
    return kExitInterrupted;
  }
  const char* no_color = std::getenv("NO_COLOR");
  // https://no-color.org: any value that is not empty.
  const bool colour = isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
  PrintReport(**report, colour ? Colour::kOn : Colour::kOff, stdout);
  if (!json.empty()) {
    if (const absl::Status written = WriteReportJson(**report, json); !written.ok()) {
      PrintError("demo", written.message());
      return kExitBroodFailed;
    }
  }
  return (*report)->passed() ? kExitOk : kExitNegative;
}

}  // namespace brood
