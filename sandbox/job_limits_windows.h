// Limits of a job object: set, then read back. A system that takes a limit and does not keep it (Wine 8) says zero then.
//
// Windows only. Thread-safe.
#ifndef BROOD_SANDBOX_JOB_LIMITS_WINDOWS_H_
#define BROOD_SANDBOX_JOB_LIMITS_WINDOWS_H_

#include <windows.h>

#include "absl/status/statusor.h"
#include "sandbox/windows_plan.h"

namespace brood {

// Kill on close and no dialog after a crash, always; and what `limits` asks for.
JOBOBJECT_EXTENDED_LIMIT_INFORMATION ExtendedLimitsOf(const JobLimits& limits);
DWORD UiRestrictionsOf(const JobLimits& limits);

// Sets all of them on `job`. A layer for each that was asked for; kIpc stands for the restrictions of the user interface.
//
// Errors: what the system says of the job as such (it is closed, it cannot kill on close).
absl::StatusOr<LayerChecks> SetJobLimits(int job, const JobLimits& limits);

// The same with a job that nothing is ever in: whether this machine takes them.
absl::StatusOr<LayerChecks> ProbeJobLimits(const JobLimits& limits);

}  // namespace brood

#endif  // BROOD_SANDBOX_JOB_LIMITS_WINDOWS_H_
