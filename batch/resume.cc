#include "batch/resume.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "batch/text.h"

namespace brood {
namespace {

constexpr size_t kMaxShownErrors = 20;

bool Changed(const Job& job, const JournalEntry& entry) {
  // Journals written by hand do not say it.
  return job.definition != 0 && entry.definition != 0 && job.definition != entry.definition;
}

}  // namespace

absl::StatusOr<ResumePlan> PlanResume(const std::vector<Job>& jobs, std::string_view job_file,
                                      const std::map<std::string, JournalEntry>& journal,
                                      std::string_view journal_file) {
  ResumePlan plan;
  std::set<std::string_view> known;
  std::vector<std::string> errors;
  for (const Job& job : jobs) {
    const auto found = journal.find(job.id);
    if (found == journal.end()) continue;
    known.insert(found->first);
    const JournalEntry& entry = found->second;
    if (!entry.finished()) {
      plan.first_attempts.emplace(job.id, entry.attempt + 1);
    } else if (Changed(job, entry)) {
      errors.push_back(absl::StrCat(job_file, ":", job.line, ": job \"", Printable(job.id), "\" has a result in ",
                                    journal_file, " and was changed since; give it another id to run it"));
    } else {
      plan.finished.emplace(job.id, entry.status == "ok");
    }
  }
  for (const auto& [id, entry] : journal) {
    if (!known.contains(id)) plan.unknown.push_back(id);
  }
  if (!journal.empty() && known.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(journal_file, ": the journal of another batch: none of its jobs (\"",
                                                   Printable(journal.begin()->first), "\", ...) is in ", job_file));
  }
  if (errors.empty()) return plan;
  const size_t shown = std::min(errors.size(), kMaxShownErrors);
  std::string message = absl::StrJoin(errors.begin(), errors.begin() + static_cast<std::ptrdiff_t>(shown), "\n");
  if (shown < errors.size()) {
    absl::StrAppend(&message, "\n", job_file, ": ", errors.size() - shown, " more changed jobs");
  }
  return absl::InvalidArgumentError(message);
}

}  // namespace brood
