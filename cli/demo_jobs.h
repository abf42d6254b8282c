// The honest jobs of `brood demo`: programs that people run over files, on real files of this machine.
#ifndef BROOD_CLI_DEMO_JOBS_H_
#define BROOD_CLI_DEMO_JOBS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "batch/job.h"

namespace brood {

struct HonestKind {
  std::string name;  // "gzip -t".
  size_t jobs = 0;
};

struct HonestJobs {
  std::vector<Job> jobs;           // Without a policy: the same jobs are run with and without a sandbox.
  std::vector<HonestKind> kinds;   // In the order of the jobs.
  std::vector<std::string> notes;  // What was left out, and why.
};

// So many jobs, from what this machine has: the kinds that are short of files are made up for by the others. The same
// machine gives the same jobs. Fewer only if there are not enough files.
HonestJobs FindHonestJobs(size_t wanted);

}  // namespace brood

#endif  // BROOD_CLI_DEMO_JOBS_H_
