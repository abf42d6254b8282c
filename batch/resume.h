// What a journal means for a batch that is to be continued.
//
//   BROOD_ASSIGN_OR_RETURN(const auto journal, ReadJournal(path));
//   BROOD_ASSIGN_OR_RETURN(const ResumePlan plan, PlanResume(jobs, "jobs.jsonl", journal, path));
#ifndef BROOD_BATCH_RESUME_H_
#define BROOD_BATCH_RESUME_H_

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "batch/job.h"
#include "batch/journal.h"

namespace brood {

struct ResumePlan {
  std::map<std::string, bool> finished;       // Jobs that have a result, never run again, and whether it is ok.
  std::map<std::string, int> first_attempts;  // Of jobs that were started and have no result: what comes next.
  std::vector<std::string> unknown;           // Ids of which the journal knows and `jobs` does not.
};

// `jobs` are all of the batch's, from `job_file`. An attempt that was cut off does not count as one of a job's retries.
//
// Errors: InvalidArgument with a line for each job that has a result and whose definition was changed since: its result
//   would be taken for that of another job; and if no job of the journal is among `jobs`.
absl::StatusOr<ResumePlan> PlanResume(const std::vector<Job>& jobs, std::string_view job_file,
                                      const std::map<std::string, JournalEntry>& journal,
                                      std::string_view journal_file);

}  // namespace brood

#endif  // BROOD_BATCH_RESUME_H_
