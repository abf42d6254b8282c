#include "cli/demo.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "batch/process_runner.h"
#include "batch/result_json.h"
#include "batch/scheduler.h"
#include "cli/demo_attacks.h"
#include "cli/demo_jobs.h"
#include "cli/demo_report.h"
#include "cli/runfiles.h"

namespace brood {
namespace {

constexpr size_t kLeastJobs = 300;

// Keeps the end of each job, and a line of progress on a terminal.
class Collector : public BatchListener {
 public:
  explicit Collector(std::string title) : title_(std::move(title)), terminal_(isatty(STDERR_FILENO) == 1) {}
  ~Collector() override { Clear(); }

  absl::Status OnResult(const JobResult& result) override {
    ends_.emplace(result.job, result.end);
    return absl::OkStatus();
  }

  void OnProgress(const BatchSummary& so_far) override {
    if (!terminal_) return;
    const double seconds = std::max(absl::ToDoubleSeconds(so_far.wall_time), 1e-3);
    std::string line = absl::StrFormat("%s: %u of %u, %u running, %.0f a second", title_, so_far.finished, so_far.total,
                                       so_far.running, static_cast<double>(so_far.finished) / seconds);
    for (const auto& [status, count] : so_far.by_status) absl::StrAppend(&line, "  ", status, " ", count);
    absl::FPrintF(stderr, "\r\033[K%s", line.substr(0, 118));
    shown_ = true;
  }

  void Clear() {
    if (shown_) absl::FPrintF(stderr, "\r\033[K");
    shown_ = false;
  }

  // Null if the batch was stopped before the job ended.
  const JobEnd* Find(const Job& job) const {
    const auto found = ends_.find(&job);
    return found == ends_.end() ? nullptr : &found->second;
  }

 private:
  std::string title_;
  bool terminal_;
  bool shown_ = false;
  std::map<const Job*, JobEnd> ends_;
};

// Readable once somebody asks this process to end.
absl::StatusOr<UniqueFd> WatchForInterrupts() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  if (sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return ErrnoStatus(errno, "sigprocmask");
  UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return ErrnoStatus(errno, "signalfd");
  return fd;
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
  BROOD_ASSIGN_OR_RETURN(const UniqueFd interrupts, WatchForInterrupts());
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
  const std::vector<Job> mixed = Mix(honest.jobs, attacks);
  Collector sandboxed("sandboxed");
  BROOD_ASSIGN_OR_RETURN(const BatchSummary summary,
                         Run(mixed, defaults, report.parallel, interrupts.get(), sandboxed));
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
  Collector plain("without a sandbox");
  BROOD_ASSIGN_OR_RETURN(const BatchSummary control,
                         Run(honest.jobs, defaults, report.parallel, interrupts.get(), plain));
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
  CLI::App app("Runs honest and hostile jobs over files of this machine, each in a strict sandbox.", "brood demo");
  size_t jobs = 320;
  std::string json;
  app.add_option("--jobs", jobs, "honest jobs")->capture_default_str()->check(CLI::Range(1, 100000));
  app.add_option("--json", json, "write what was found to FILE")->option_text("FILE");
  app.footer("exit status: 0 all identical and all stopped, 1 not, 2 usage, 125 environment, 130 interrupted");
  try {
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  const absl::StatusOr<std::optional<DemoReport>> report = RunDemo(jobs);
  if (!report.ok()) {
    absl::FPrintF(stderr, "brood demo: %s\n", report.status().message());
    return 125;
  }
  if (!report->has_value()) {
    absl::FPrintF(stderr, "brood demo: interrupted\n");
    return 130;
  }
  const bool colour = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  PrintReport(**report, colour ? Colour::kOn : Colour::kOff, stdout);
  if (!json.empty()) {
    if (const absl::Status written = WriteReportJson(**report, json); !written.ok()) {
      absl::FPrintF(stderr, "brood demo: %s\n", written.message());
      return 125;
    }
  }
  return (*report)->passed() ? 0 : 1;
}

}  // namespace brood
