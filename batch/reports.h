// Reports that other programs read, exported from the results of a batch: a job log as GNU parallel writes it, a JUnit
// file, a trace for the viewers of Chrome's format (https://ui.perfetto.dev).
//
//   BROOD_ASSIGN_OR_RETURN(Reports reports, Reports::Create({.joblog = "jobs.log"}, jobs));
//   BROOD_RETURN_IF_ERROR(reports.Add(job, "gzip -t f.gz", 1, end));   // For each result, also those of an earlier
//   run. BROOD_RETURN_IF_ERROR(reports.Finish());
#ifndef BROOD_BATCH_REPORTS_H_
#define BROOD_BATCH_REPORTS_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "base/untrusted_directories.h"
#include "batch/job.h"
#include "batch/job_runner.h"

namespace brood {

// Paths; empty: not wanted.
struct ReportFiles {
  std::string joblog;
  std::string junit;
  std::string trace;
  UntrustedDirectories untrusted;  // As OpenToAppend has it.

  bool any() const { return !joblog.empty() || !junit.empty() || !trace.empty(); }
};

// What a report keeps of one result.
struct ReportEntry {
  const Job* job = nullptr;
  int attempt = 1;
  Outcome outcome;
  std::string stderr_tail;  // At most kReportTailBytes, of jobs that are not ok.
};
inline constexpr size_t kReportTailBytes = 4096;

// A line of GNU parallel's --joblog, and its header; both with their line feed. `command` is on one line. Exitval is
// the program's own, 126 or 127 if it could not be executed, -1 if brood ended it or cannot know; Signal is the one
// that ended it, brood's own kill included.
std::string JoblogHeader();
std::string JoblogLine(const ReportEntry& entry, std::string_view command);

// A JUnit file: a test case for each job, skipped if it has no result, an error if it could not be run (setup_failed,
// lost), a failure if it ran and is not ok.
std::string JunitXml(const std::vector<Job>& jobs, const std::vector<ReportEntry>& entries);

// Chrome's trace event format, one row for each job that ran at the same time.
std::string TraceJson(const std::vector<ReportEntry>& entries);

class Reports {  // Move-only.
 public:
  // Opens the files, so that a bad path is known before anything runs. `jobs`, those of this batch, outlive it;
  // `journal` is not overwritten by mistake.
  //
  // Errors: InvalidArgument (two of them are one file), those of open(2).
  static absl::StatusOr<Reports> Create(const ReportFiles& files, const std::vector<Job>& jobs,
                                        const std::string& journal);

  // A result; `command` is the job's, for people, on one line. The job log has it at once, the others with Finish.
  //
  // Errors: those of writing.
  absl::Status Add(const Job& job, std::string_view command, int attempt, const JobEnd& end);

  // Writes what is to be written at the end, whether or not every job has a result. Errors: those of writing.
  absl::Status Finish();

 private:
  Reports() = default;

  ReportFiles files_;
  const std::vector<Job>* jobs_ = nullptr;
  UniqueFd joblog_;
  UniqueFd junit_;
  UniqueFd trace_;
  std::vector<ReportEntry> entries_;
};

}  // namespace brood

#endif  // BROOD_BATCH_REPORTS_H_
