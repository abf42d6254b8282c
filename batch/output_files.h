// Whether each file that a batch writes is written by one job alone. Each attempt at a job empties its files, so that of two jobs
// with one file the first would be "ok" and what it wrote gone.
#ifndef BROOD_BATCH_OUTPUT_FILES_H_
#define BROOD_BATCH_OUTPUT_FILES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "batch/job.h"

namespace brood {

// A file that is not a job's: the journal, a report.
struct TakenFile {
  std::string what;                     // "the journal of the batch (--results)".
  std::vector<std::string> identities;  // As IdentitiesOf gives them.
};

// Looks at all jobs of a file: also those that have ended in an earlier run, or are another shard's, have their files. `output_dir`
// is where the streams go of jobs that name no file; empty: nowhere.
//
// Errors: InvalidArgument with one line `FILE:LINE: field "stdout": ...` for each job that would take what is another's, at most 20.
absl::Status CheckOutputFiles(const std::vector<Job>& jobs, const std::string& job_file, const std::string& output_dir, const std::vector<TakenFile>& taken);

}  // namespace brood

#endif  // BROOD_BATCH_OUTPUT_FILES_H_
