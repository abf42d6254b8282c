// Runs jobs, so many at a time, and says how each ended. One thread, which polls the sentinels.
//
//   BatchSummary summary = RunJobs(jobs, {.parallel = 8, .retries = 1}, runner, listener).value();
//   return summary.all_ok() ? 0 : 1;
//
// Installs no signal handler; whoever wants to stop a batch makes `interrupt_fd` readable.
#ifndef BROOD_BATCH_SCHEDULER_H_
#define BROOD_BATCH_SCHEDULER_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "batch/job.h"
#include "batch/job_runner.h"

namespace brood {

// When failures stop the batch. Jobs that a stop leaves without an end have no result.
struct HaltRule {
  enum class When {
    kNever,
    kSoon,  // Start no more, let the running ones end.
    kNow,   // Start no more, kill the running ones.
  };
  When when = When::kNever;
  size_t failures = 0;   // So many failed jobs, if not 0,
  double percent = 0.0;  // or so many percent of all jobs.
};

// "never", "soon,fail=3", "now,fail=10%". Errors: InvalidArgument.
absl::StatusOr<HaltRule> ParseHaltRule(std::string_view text);

// "8", "50%" of this machine's CPUs (at least 1). Errors: InvalidArgument.
absl::StatusOr<int> ParseParallel(std::string_view text);

// The CPUs that this process may use.
int AvailableCpus();

struct SchedulerOptions {
  int parallel = 1;  // Jobs at a time.
  int retries = 0;   // Further attempts for a job that is not ok; a job's own number wins.
  int retry_lost = 0;  // Before those: further attempts for one that was lost with its server.
  HaltRule halt;
  bool keep_order = false;  // Results in the order of the jobs; those that end early wait in memory.
  int interrupt_fd = -1;    // When readable: start no more, kill the running ones. Not read. -1: none.
  absl::Duration tick = absl::Milliseconds(200);  // At most so long between two OnProgress.
  std::map<std::string, int> first_attempts;      // By id, for a batch that is resumed. Others begin with 1.
};

struct JobResult {
  const Job* job = nullptr;
  int attempt = 1;
  JobEnd end;
};

struct BatchSummary {
  size_t total = 0;
  size_t finished = 0;  // Have a result.
  size_t running = 0;
  std::map<std::string, size_t> by_status;  // Outcome::StatusWord() -> jobs.
  size_t retried = 0;                       // Attempts beyond a job's first one.
  bool halted = false;                      // By the halt rule.
  bool interrupted = false;
  std::optional<size_t> full_at;  // The machine had no room for more than so many at a time, fewer than were asked for;
  std::string full_reason;        // what it said.
  absl::Duration wall_time;

  size_t ok() const;
  bool all_ok() const { return ok() == total; }
};

class BatchListener {
 public:
  virtual ~BatchListener() = default;

  // An attempt is about to start; told once of each. An error stops the batch: what cannot be recorded must not be run.
  virtual absl::Status OnStart(const Job& job, int attempt) {
    (void)job, (void)attempt;
    return absl::OkStatus();
  }

  // An attempt was lost with its server, and the job is started again, for the `again`th time because of that.
  virtual void OnLost(const Job& job, const Outcome& outcome, int again) { (void)job, (void)outcome, (void)again; }

  // The job's last attempt has ended. An error stops the batch.
  virtual absl::Status OnResult(const JobResult& result) = 0;

  // Something changed, or a tick has passed.
  virtual void OnProgress(const BatchSummary& so_far) { (void)so_far; }

  // At least every tick while jobs run. An error stops the batch.
  virtual absl::Status OnTick() { return absl::OkStatus(); }
};

// Runs every job. A job that cannot be started is a result like any other (setup_failed) and takes no other with it.
//
// Errors: those of `listener`, of poll(2). No job is left running then.
absl::StatusOr<BatchSummary> RunJobs(const std::vector<Job>& jobs, const SchedulerOptions& options, JobRunner& runner,
                                     BatchListener& listener);

}  // namespace brood

#endif  // BROOD_BATCH_SCHEDULER_H_
