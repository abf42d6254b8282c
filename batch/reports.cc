#include "batch/reports.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"

namespace brood {
namespace {

using FileId = std::pair<uint64_t, uint64_t>;

absl::StatusOr<UniqueFd> OpenReport(const std::string& path, const UntrustedDirectories& untrusted, std::set<FileId>& used) {
  // Not emptied before it is known that it is no other of the files.
  BROOD_ASSIGN_OR_RETURN(UniqueFd fd, OpenToAppend(path, untrusted));
  BROOD_ASSIGN_OR_RETURN(const FileFacts facts, FactsOf(fd.get(), path));
  if (facts.regular && !used.insert(facts.identity).second) {
    return absl::InvalidArgumentError(absl::StrCat("file ", path, " is named for two purposes"));
  }
  return fd;
}

absl::Status Empty(int fd, const std::string& path) {
  BROOD_ASSIGN_OR_RETURN(const FileFacts facts, FactsOf(fd, path));
  return facts.regular ? Truncate(fd, 0, path) : absl::OkStatus();
}

absl::Status Replace(int fd, const std::string& path, std::string_view text) {
  if (fd < 0) return absl::OkStatus();
  BROOD_RETURN_IF_ERROR(Empty(fd, path));
  return WriteAll(fd, path, text);
}

}  // namespace

absl::StatusOr<Reports> Reports::Create(const ReportFiles& files, const std::vector<Job>& jobs,
                                        const std::string& journal) {
  Reports reports;
  reports.files_ = files;
  reports.jobs_ = &jobs;
  std::set<FileId> used;
  if (const absl::StatusOr<FileFacts> facts = FactsAt(journal); facts.ok()) used.insert(facts->identity);
  const std::pair<const std::string*, UniqueFd*> opens[] = {
      {&files.joblog, &reports.joblog_}, {&files.junit, &reports.junit_}, {&files.trace, &reports.trace_}};
  for (const auto& [path, fd] : opens) {
    if (path->empty()) continue;
    BROOD_ASSIGN_OR_RETURN(*fd, OpenReport(*path, files.untrusted, used));
  }
  BROOD_RETURN_IF_ERROR(Replace(reports.joblog_.get(), files.joblog, JoblogHeader()));
  return reports;
}

absl::Status Reports::Add(const Job& job, std::string_view command, int attempt, const JobEnd& end) {
  ReportEntry entry{.job = &job, .attempt = attempt, .outcome = end.outcome, .stderr_tail = {}};
  entry.outcome.enforced.clear();  // The largest part, and in no report.
  if (joblog_.valid()) BROOD_RETURN_IF_ERROR(WriteAll(joblog_.get(), files_.joblog, JoblogLine(entry, command)));
  if (!junit_.valid() && !trace_.valid()) return absl::OkStatus();
  const std::string& text = end.stderr_stream.content;
  if (!end.outcome.ok()) entry.stderr_tail = text.substr(text.size() - std::min(text.size(), kReportTailBytes));
  entries_.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::Status Reports::Finish() {
  if (junit_.valid()) BROOD_RETURN_IF_ERROR(Replace(junit_.get(), files_.junit, JunitXml(*jobs_, entries_)));
  if (trace_.valid()) BROOD_RETURN_IF_ERROR(Replace(trace_.get(), files_.trace, TraceJson(entries_)));
  return absl::OkStatus();
}

}  // namespace brood
