// brood batch: many jobs, results as JSON Lines.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "batch/job.h"
#include "batch/journal.h"
#include "batch/process_runner.h"
#include "batch/result_json.h"
#include "batch/scheduler.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/printable.h"
#include "cli/progress.h"
#include "cli/shared_options.h"
#include "cli/signals.h"

namespace brood {
namespace {

struct BatchSettings {
  JobDefaults defaults;
  SchedulerOptions scheduler;
  JournalOptions journal;
  std::string results = "-";
  Progress::When progress = Progress::When::kAuto;
  bool resume = false;
  bool dry_run = false;
};

template <typename T>
absl::Status ReadWord(const ParsedOptions& options, std::string_view name,
                      const std::vector<std::pair<std::string, T>>& words, T& to) {
  if (!options.Has(name)) return absl::OkStatus();
  std::vector<std::string> known;
  for (const auto& [word, value] : words) {
    known.push_back(word);
    if (word != options.Value(name)) continue;
    to = value;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": expected one of ", absl::StrJoin(known, ", "), ", got \"", options.Value(name), "\""));
}

absl::StatusOr<BatchSettings> ReadSettings(const ParsedOptions& options) {
  BatchSettings settings;
  BROOD_ASSIGN_OR_RETURN(settings.defaults, ReadSharedOptions(options));
  settings.defaults.output_dir = options.Value("--output-dir");
  settings.scheduler.parallel = AvailableCpus();
  if (options.Has("--jobs")) {
    const absl::StatusOr<int> parallel = ParseParallel(options.Value("--jobs"));
    if (!parallel.ok()) return Annotate(parallel.status(), "--jobs");
    settings.scheduler.parallel = *parallel;
  }
  if (options.Has("--halt")) {
    const absl::StatusOr<HaltRule> halt = ParseHaltRule(options.Value("--halt"));
    if (!halt.ok()) return Annotate(halt.status(), "--halt");
    settings.scheduler.halt = *halt;
  }
  constexpr int kMaxRetries = 1000;
  const std::string retries = options.Value("--retries", "0");
  if (!absl::SimpleAtoi(retries, &settings.scheduler.retries) || settings.scheduler.retries < 0 ||
      settings.scheduler.retries > kMaxRetries) {
    return absl::InvalidArgumentError(
        absl::StrCat("--retries: expected 0 to ", kMaxRetries, ", got \"", retries, "\""));
  }
  settings.scheduler.keep_order = options.Has("--keep-order");
  settings.results = options.Value("--results", "-");
  settings.resume = options.Has("--resume");
  settings.dry_run = options.Has("--dry-run");
  if (settings.resume && settings.results == "-") {
    return absl::InvalidArgumentError("--resume needs the journal of the batch: --results FILE");
  }
  if (settings.resume) settings.journal.existing = JournalOptions::Existing::kContinue;
  using Sync = JournalOptions::Sync;
  BROOD_RETURN_IF_ERROR(ReadWord<Sync>(options, "--sync",
                                       {{"always", Sync::kAlways}, {"1s", Sync::kTimed}, {"never", Sync::kNever}},
                                       settings.journal.sync));
  using When = Progress::When;
  BROOD_RETURN_IF_ERROR(ReadWord<When>(options, "--progress",
                                       {{"auto", When::kAuto}, {"always", When::kAlways}, {"never", When::kNever}},
                                       settings.progress));
  return settings;
}

// Leaves the jobs that have a result in the journal out. False if one of those results is not ok.
absl::StatusOr<bool> SkipFinished(const BatchSettings& settings, std::vector<Job>& jobs) {
  const absl::StatusOr<std::map<std::string, ResultHead>> done = ReadJournal(settings.results);
  if (absl::IsNotFound(done.status())) return true;  // Nothing was begun.
  BROOD_RETURN_IF_ERROR(done.status());
  bool all_ok = true;
  std::erase_if(jobs, [&](const Job& job) {
    const auto head = done->find(job.id);
    if (head == done->end()) return false;
    all_ok = all_ok && head->second.status == "ok";
    return true;
  });
  return all_ok;
}

class Reporter : public BatchListener {
 public:
  Reporter(Journal* journal, Progress* progress) : journal_(*journal), progress_(*progress) {}

  absl::Status OnResult(const JobResult& result) override {
    const Outcome& outcome = result.end.outcome;
    if (!outcome.ok())
      progress_.Note(absl::StrCat("job ", Printable(result.job->id), ": ", Printable(outcome.ToString())));
    return journal_.Append(ResultLine(result.job->id, result.attempt, result.end));
  }

  void OnProgress(const BatchSummary& so_far) override { progress_.Update(so_far); }

 private:
  Journal& journal_;
  Progress& progress_;
};

absl::StatusOr<int> DryRun(const std::vector<Job>& jobs, const BatchSettings& settings, ProcessRunner& runner) {
  int exit_code = kExitOk;
  for (const Job& job : jobs) {
    const std::string policy = job.policy.empty() ? settings.defaults.policy : job.policy;
    if (!PrintOut(absl::StrCat(Printable(job.id), "\t", Printable(policy), "\t", ShellCommand(job.argv), "\n"))) {
      return kExitBroodFailed;
    }
    if (const auto compiled = runner.PolicyOf(job); !compiled.ok()) {
      PrintError("batch", absl::StrCat("job ", Printable(job.id), ": ", compiled.status().message()));
      exit_code = kExitNegative;
    }
  }
  return exit_code;
}

absl::StatusOr<int> RunBatch(std::vector<Job> jobs, BatchSettings& settings) {
  BROOD_ASSIGN_OR_RETURN(SignalSource signals, SignalSource::Create());
  BROOD_ASSIGN_OR_RETURN(std::unique_ptr<ProcessRunner> runner, ProcessRunner::Create(settings.defaults));
  const size_t all = jobs.size();
  bool earlier_ok = true;
  if (settings.resume) {
    BROOD_ASSIGN_OR_RETURN(earlier_ok, SkipFinished(settings, jobs));
  }
  if (settings.dry_run) return DryRun(jobs, settings, *runner);
  BROOD_ASSIGN_OR_RETURN(Journal journal, Journal::Open(settings.results, settings.journal));
  if (jobs.size() < all)
    PrintError("batch", absl::StrCat(all - jobs.size(), " of ", all, " jobs have a result already"));

  Progress progress(settings.progress);
  Reporter reporter(&journal, &progress);
  settings.scheduler.interrupt_fd = signals.fd();
  const absl::StatusOr<BatchSummary> summary = RunJobs(jobs, settings.scheduler, *runner, reporter);
  progress.Clear();
  BROOD_RETURN_IF_ERROR(summary.status());
  BROOD_RETURN_IF_ERROR(journal.Close());
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
  absl::StatusOr<BatchSettings> settings = ReadSettings(*options);
  if (!settings.ok()) return ReportUsage("batch", settings.status(), kExitUsage);
  absl::StatusOr<std::vector<Job>> jobs = LoadJobs(operands[0]);
  if (!jobs.ok()) {
    // One line for each bad line, each with its place: nothing in front of it, so that editors can jump there.
    const bool content = absl::IsInvalidArgument(jobs.status());
    if (!content) PrintError("batch", jobs.status().message());
    if (content) absl::FPrintF(stderr, "%s\n", jobs.status().message());
    return kExitUsage;
  }
  // A reader of the results that goes away is an error to handle, not to die of.
  std::signal(SIGPIPE, SIG_IGN);
  const absl::StatusOr<int> exit_code = RunBatch(*std::move(jobs), *settings);
  if (exit_code.ok()) return *exit_code;
  PrintError("batch", exit_code.status().message());
  const bool usage = absl::IsInvalidArgument(exit_code.status()) || absl::IsNotFound(exit_code.status()) ||
                     absl::IsAlreadyExists(exit_code.status());
  return usage ? kExitUsage : kExitBroodFailed;
}

}  // namespace brood
