// brood batch: many jobs, results as JSON Lines.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "batch/file_identity.h"
#include "batch/function_job.h"
#include "batch/job.h"
#include "batch/journal.h"
#include "batch/output_files.h"
#include "batch/process_runner.h"
#include "batch/reports.h"
#include "batch/result_json.h"
#include "batch/resume.h"
#include "batch/scheduler.h"
#include "batch/text.h"
#include "cli/batch_settings.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/printable.h"
#include "cli/progress.h"
#include "cli/signals.h"

namespace brood {
namespace {

// As on a command line of `brood run` or `brood call`.
std::string CommandOf(const Job& job) {
  std::string programs;
  for (const Job& program : job.programs) absl::StrAppend(&programs, programs.empty() ? "" : " & ", ShellCommand(program.argv));
  if (!programs.empty()) return programs;
  if (job.target.empty()) return ShellCommand(job.argv);
  std::vector<std::string> words = {job.target};
  words.insert(words.end(), job.args.begin(), job.args.end());
  return ShellCommand(words);
}

using JobsByIds = std::map<std::string_view, const Job*>;

// One line for each bad job, each with its place: nothing in front of it, so that editors can jump there.
int ReportBadJobs(const absl::Status& status) {
  for (std::string_view line : absl::StrSplit(status.message(), '\n')) absl::FPrintF(stderr, "%s\n", Printable(line));
  return kExitUsage;
}

// The results that the journal has already, for the reports.
absl::Status ReportEarlierResults(const std::string& journal, const std::vector<Job>& jobs, Reports& reports) {
  JobsByIds by_id;
  for (const Job& job : jobs) by_id.emplace(job.id, &job);
  return ForEachResult(journal, [&](const ReadResult& result) {
    const auto job = by_id.find(result.id);
    if (job == by_id.end()) return absl::OkStatus();
    return reports.Add(*job->second, CommandOf(*job->second), result.attempt, result.end);
  });
}

class Reporter : public BatchListener {
 public:
  Reporter(Journal* journal, Reports* reports, Progress* progress, int retry_lost)
      : journal_(*journal), reports_(*reports), progress_(*progress), retry_lost_(retry_lost) {}

  absl::Status OnStart(const Job& job, int attempt) override {
    // What is read once and never continued has results only.
    if (!journal_.regular()) return absl::OkStatus();
    return journal_.Append(
        StartedLine({.id = job.id, .attempt = attempt, .definition = job.definition, .start = absl::Now()}));
  }

  void OnLost(const Job& job, const Outcome& outcome, int again) override {
    progress_.Note(absl::StrCat("job ", Printable(job.id), ": ", Printable(outcome.ToString()), "; starting it again, ", again, " of ", retry_lost_));
  }

  absl::Status OnResult(const JobResult& result) override {
    const Outcome& outcome = result.end.outcome;
    if (!outcome.ok())
      progress_.Note(absl::StrCat("job ", Printable(result.job->id), ": ", Printable(outcome.ToString())));
    BROOD_RETURN_IF_ERROR(journal_.Append(ResultLine(result.job->id, result.attempt, result.end)));
    return reports_.Add(*result.job, CommandOf(*result.job), result.attempt, result.end);
  }

  void OnProgress(const BatchSummary& so_far) override { progress_.Update(so_far); }
  absl::Status OnTick() override { return journal_.SyncIfDue(); }

 private:
  Journal& journal_;
  Reports& reports_;
  Progress& progress_;
  const int retry_lost_;
};

// Before anything runs: a policy that cannot be read, or a target that is nowhere, is a fault of the job file, as a field
// that is misspelt.
absl::Status CheckPoliciesAndTargets(const std::vector<Job>& jobs, const std::string& job_file, bool on_server,
                                     ProcessRunner& runner) {
  constexpr size_t kMaxShownErrors = 20;
  std::vector<std::string> errors;
  size_t bad = 0;
  for (const Job& job : jobs) {
    const absl::Status target = job.target.empty() || on_server ? absl::OkStatus() : CheckTarget(job.target);
    const absl::Status status = target.ok() ? runner.CheckPolicyOf(job) : target;
    if (status.ok() || ++bad > kMaxShownErrors) continue;
    errors.push_back(absl::StrCat(job_file, ":", job.line, ": field \"", target.ok() ? "policy" : "target", "\": ",
                                  Printable(status.message())));
  }
  if (bad == 0) return absl::OkStatus();
  if (bad > errors.size()) errors.push_back(absl::StrCat(job_file, ": ", bad - errors.size(), " more bad policies or targets"));
  return absl::InvalidArgumentError(absl::StrJoin(errors, "\n"));
}

// What the batch reads and writes itself.
std::vector<TakenFile> OwnFiles(const BatchSettings& settings, const std::string& job_file) {
  std::vector<TakenFile> own;
  const auto add = [&own](const std::string& path, std::string what) {
    if (!path.empty() && path != "-") own.push_back({.what = std::move(what), .identities = IdentitiesOf(path, LastLink::kFollow)});
  };
  own.push_back({.what = "the job file", .identities = job_file == "stdin" ? IdentitiesOfDescriptor(0) : IdentitiesOf(job_file, LastLink::kFollow)});
  add(settings.results, "the journal of the batch (--results)");
  add(settings.reports.joblog, "that of --joblog");
  add(settings.reports.junit, "that of --junit");
  add(settings.reports.trace, "that of --trace");
  own.push_back({.what = "this command's standard output", .identities = IdentitiesOfDescriptor(1)});
  own.push_back({.what = "this command's standard error", .identities = IdentitiesOfDescriptor(2)});
  return own;
}

// Says what of the journal concerns no job.
void WarnOfUnknown(const ResumePlan& plan, const BatchSettings& settings, const std::string& job_file) {
  if (plan.unknown.empty()) return;
  PrintError("batch", absl::StrCat("warning: ", plan.unknown.size(), " jobs of ", settings.results, " (\"",
                                   Printable(plan.unknown[0]), "\"", plan.unknown.size() > 1 ? ", ..." : "",
                                   ") are not in ", job_file));
}

absl::StatusOr<int> DryRun(const std::vector<Job>& jobs, const BatchSettings& settings, ProcessRunner& runner) {
  int exit_code = kExitOk;
  for (const Job& job : jobs) {
    const std::string policy = job.policy.empty() ? settings.defaults.policy : job.policy;
    if (!PrintOut(absl::StrCat(Printable(job.id), "\t", Printable(policy), "\t", CommandOf(job), "\n"))) {
      return kExitBroodFailed;
    }
    LaunchOptions unused;
    if (const absl::Status ready = runner.SetPolicyOf(job, unused); !ready.ok()) {
      PrintError("batch", absl::StrCat("job ", Printable(job.id), ": ", ready.message()));
      exit_code = kExitNegative;
    }
  }
  return exit_code;
}

// Reads what the journal says of the jobs, if there is one.
absl::StatusOr<ResumePlan> ReadPlan(const std::vector<Job>& jobs, const std::string& job_file,
                                    const BatchSettings& settings) {
  const absl::StatusOr<std::map<std::string, JournalEntry>> entries = ReadJournal(settings.results);
  if (absl::IsNotFound(entries.status())) return ResumePlan{};  // Nothing was begun.
  BROOD_RETURN_IF_ERROR(entries.status());
  return PlanResume(jobs, job_file, *entries, settings.results);
}

// `jobs` are all jobs of the file.
absl::StatusOr<int> RunBatch(std::vector<Job> jobs, const std::string& job_file, BatchSettings& settings) {
  if (const absl::Status once = CheckOutputFiles(jobs, job_file, settings.defaults.output_dir, OwnFiles(settings, job_file)); !once.ok()) {
    return ReportBadJobs(once);
  }
  BROOD_ASSIGN_OR_RETURN(std::unique_ptr<ProcessRunner> runner, ProcessRunner::Create(settings.defaults));
  for (const Job& job : jobs) runner->Distrust(job);
  settings.journal.untrusted = settings.reports.untrusted = *runner->untrusted();
  std::optional<Journal> journal;
  if (!settings.dry_run) {
    // First of all: what a journal says is true only while no other batch writes to it.
    BROOD_ASSIGN_OR_RETURN(journal, Journal::Open(settings.results, settings.journal));
  }
  ResumePlan plan;
  if (settings.resume) {
    absl::StatusOr<ResumePlan> read = ReadPlan(jobs, job_file, settings);
    if (absl::IsInvalidArgument(read.status())) return ReportBadJobs(read.status());
    BROOD_ASSIGN_OR_RETURN(plan, std::move(read));
    WarnOfUnknown(plan, settings, job_file);
  }
  std::erase_if(jobs, [&](const Job& job) { return !settings.shard.Has(job.number); });
  std::vector<Job> to_run;
  bool earlier_ok = true;
  for (const Job& job : jobs) {
    const auto finished = plan.finished.find(job.id);
    if (finished == plan.finished.end()) {
      to_run.push_back(job);
    } else {
      earlier_ok = earlier_ok && finished->second;
    }
  }
  if (const absl::Status status = CheckPoliciesAndTargets(to_run, job_file, !settings.defaults.server.empty(), *runner); !status.ok()) return ReportBadJobs(status);
  if (settings.dry_run) return DryRun(to_run, settings, *runner);
  // A preload takes its time: until there are jobs to end in order, a signal ends us, and what preloads with us.
  if (std::any_of(to_run.begin(), to_run.end(), [](const Job& job) { return !job.target.empty(); })) runner->Preload();
  BROOD_ASSIGN_OR_RETURN(SignalSource signals, SignalSource::Create());
  BROOD_ASSIGN_OR_RETURN(Reports reports, Reports::Create(settings.reports, jobs, settings.results));
  if (settings.resume && settings.reports.any()) {
    BROOD_RETURN_IF_ERROR(ReportEarlierResults(settings.results, jobs, reports));
  }
  if (to_run.size() < jobs.size()) {
    PrintError("batch", absl::StrCat(jobs.size() - to_run.size(), " of ", jobs.size(), " jobs have a result already"));
  }

  Progress progress(settings.progress);
  Reporter reporter(&*journal, &reports, &progress, settings.scheduler.retry_lost);
  settings.scheduler.interrupt_fd = signals.fd();
  settings.scheduler.first_attempts = plan.first_attempts;
  const absl::StatusOr<BatchSummary> summary = RunJobs(to_run, settings.scheduler, *runner, reporter);
  progress.Clear();
  BROOD_RETURN_IF_ERROR(summary.status());
  BROOD_RETURN_IF_ERROR(journal->Close());
  BROOD_RETURN_IF_ERROR(reports.Finish());
  if (summary->full_at.has_value()) {
    PrintError("batch", absl::StrCat("warning: of ", settings.scheduler.parallel, " jobs at a time at times only ", *summary->full_at, " ran: ",
                                     summary->full_reason));
  }
  PrintError("batch", SummaryLine(*summary));
  if (summary->interrupted) return kExitInterrupted;
  return summary->all_ok() && earlier_ok ? kExitOk : kExitNegative;
}

}  // namespace

int BatchMain(const std::vector<std::string>& args) {
  const absl::StatusOr<ParsedOptions> options = ParseOptions("batch", args);
  if (!options.ok()) return ReportUsage("batch", options.status(), kExitUsage);
  const std::vector<std::string>& operands = options->operands();
  if (operands.empty())
    return ReportUsage("batch", absl::InvalidArgumentError("JOBS.jsonl is missing; - reads standard input"),
                       kExitUsage);
  if (operands.size() > 1) {
    return ReportUsage("batch",
                       absl::InvalidArgumentError(
                           absl::StrCat("unexpected word \"", operands[1], "\" after ", operands[0],
                                        !operands[1].empty() && operands[1][0] == '-' ? "; options go before it" : "")),
                       kExitUsage);
  }
  absl::StatusOr<BatchSettings> settings = ReadBatchSettings(*options);
  if (!settings.ok()) return ReportUsage("batch", settings.status(), kExitUsage);
  absl::StatusOr<std::vector<Job>> jobs = LoadJobs(operands[0]);
  if (!jobs.ok()) {
    if (absl::IsInvalidArgument(jobs.status())) return ReportBadJobs(jobs.status());
    PrintError("batch", jobs.status().message());
    return kExitUsage;
  }
  IgnoreBrokenPipes();
  const absl::StatusOr<int> exit_code =
      RunBatch(*std::move(jobs), operands[0] == "-" ? "stdin" : operands[0], *settings);
  if (exit_code.ok()) return *exit_code;
  PrintError("batch", exit_code.status().message());
  const bool usage = absl::IsInvalidArgument(exit_code.status()) || absl::IsNotFound(exit_code.status()) ||
                     absl::IsAlreadyExists(exit_code.status());
  return usage ? kExitUsage : kExitBroodFailed;
}

}  // namespace brood
