// The limits of wall time and CPU time of a child on Windows: kept by timers of the system's thread pool, so without a thread for
// each child.
#ifndef BROOD_LAUNCHER_TIME_LIMITS_WINDOWS_H_
#define BROOD_LAUNCHER_TIME_LIMITS_WINDOWS_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "launcher/windows_state.h"

namespace brood::internal {

// From now on; ends the tree. Errors: what the system says, and then the child must be ended by the caller.
absl::Status StartWallTime(WindowsState& state, absl::Duration limit);

// Looks ten times a second at what all of the job has used, in user and kernel mode. The job object counts user mode alone.
absl::Status StartCpuTime(WindowsState& state, absl::Duration limit);

// Waits for one that is at work. Not with the state's mutex held.
void StopTimeLimits(WindowsState& state);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_TIME_LIMITS_WINDOWS_H_
