// A job object: the tree of one child, which ends when the job is closed.
//
// Whoever owns the job owns the tree: its only handle is that of the process that started the child, so that the kernel closes
// it when that ends in whatever way. No child can leave its job: that would have to be allowed by a limit that is never set.
// Nested in the caller's own job, if that has one (Windows 8 and later).
//
// Windows only. Functions may be called from several threads at once.
#ifndef BROOD_LAUNCHER_JOB_WINDOWS_H_
#define BROOD_LAUNCHER_JOB_WINDOWS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "sandbox/windows_plan.h"

namespace brood::internal {

class Job {
 public:
  Job() = default;

  // With kill on close and the limits; `checks` is what of them the system keeps. Errors: what the system says.
  static absl::StatusOr<Job> Create(const JobLimits& limits, LayerChecks* checks);

  int get() const { return handle_.get(); }
  bool valid() const { return handle_.valid(); }

  // Ends all that is in it. Not an error if nothing is. Errors: what the system says.
  absl::Status Terminate(uint32_t exit_code) const;

  // Processes in it that have not ended yet.
  absl::StatusOr<uint32_t> ActiveProcesses() const;

  // User and kernel, of all that was ever in it.
  absl::Duration CpuTime() const;

  // The limits that have refused something so far: what the system has sent of them, each told once.
  std::vector<Layer> TakeLimitsHit() const;

  // Zero where the system does not tell (Wine).
  uint64_t PeakMemoryBytes() const;

  // Ends the tree; whoever holds its processes sees them end.
  void Close() {
    handle_.reset();
    port_.reset();
  }

 private:
  UniqueFd handle_;
  UniqueFd port_;  // To which it sends what became of its limits; none without limits.
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_JOB_WINDOWS_H_
