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

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace brood::internal {

class Job {
 public:
  Job() = default;

  // With kill on close. Errors: what the system says.
  static absl::StatusOr<Job> Create();

  int get() const { return handle_.get(); }
  bool valid() const { return handle_.valid(); }

  // Ends all that is in it. Not an error if nothing is. Errors: what the system says.
  absl::Status Terminate(uint32_t exit_code) const;

  // Processes in it that have not ended yet.
  absl::StatusOr<uint32_t> ActiveProcesses() const;

  // User and kernel, of all that was ever in it.
  absl::Duration CpuTime() const;

  // Zero where the system does not tell (Wine).
  uint64_t PeakMemoryBytes() const;

  // Ends the tree; whoever holds its processes sees them end.
  void Close() { handle_.reset(); }

 private:
  explicit Job(UniqueFd handle) : handle_(std::move(handle)) {}
  UniqueFd handle_;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_JOB_WINDOWS_H_
