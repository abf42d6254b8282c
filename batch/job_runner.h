// The seam between the scheduler, which decides what runs when, and what runs a job: processes, or a test's fake.
#ifndef BROOD_BATCH_JOB_RUNNER_H_
#define BROOD_BATCH_JOB_RUNNER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "batch/job.h"
#include "launcher/outcome.h"

namespace brood {

// What a job wrote to one of its streams.
struct JobStream {
  std::string path;     // Where it went; empty if it was captured.
  std::string content;  // Captured.
  uint64_t bytes = 0;   // Written by the job.
  bool truncated = false;
  int error_number = 0;  // Why a file took no more; 0: it took all.
};

// How one attempt ended.
struct JobEnd {
  Outcome outcome;
  JobStream stdout_stream;
  JobStream stderr_stream;
  std::optional<std::string> value;  // What a function returned: JSON.
  // Of a job of several programs: how each ended, and by which that of the job was decided, whose outcome is repeated above.
  std::vector<JobEnd> programs;
  size_t decided_by = 0;
  std::optional<size_t> ended_with;  // Of one of these: killed because that one had ended.
  bool lost_with_server = false;     // Its server was killed, or what had it: see SchedulerOptions::retry_lost.
};

// Destroying one that has not been finished kills its tree.
class RunningJob {
 public:
  virtual ~RunningJob() = default;

  // Readable when the job has ended. Borrowed.
  virtual int sentinel() const = 0;

  // When the sentinel is readable: whether the job has ended. Does not wait.
  virtual bool Advance() { return true; }

  // Called once, when Advance has given true.
  virtual JobEnd Finish() = 0;
};

class JobRunner {
 public:
  virtual ~JobRunner() = default;

  // Starts one attempt; `job` outlives it.
  //
  // Errors: InvalidArgument (the job itself is wrong: not tried again), ResourceExhausted (the machine is full: tried
  //   again when another job has ended), Unavailable (lost with the server that should start it), others (this attempt failed).
  virtual absl::StatusOr<std::unique_ptr<RunningJob>> Start(const Job& job) = 0;

  // After something was lost with its server: waits for another one, as long as `pause`, which waits so long, gives true. Gives
  // whether there can be one.
  virtual bool AwaitServer(const std::function<bool(absl::Duration)>& pause) {
    (void)pause;
    return true;
  }
};

}  // namespace brood

#endif  // BROOD_BATCH_JOB_RUNNER_H_
