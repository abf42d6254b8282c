// The guardian of one child: enforces its limits, passes its output on, ends its tree, and reports how it ended.
//
// It is a small process of brood's own between owner and child. It sees the owner's death as end of file on its socket
// (and through a pidfd), never by PR_SET_PDEATHSIG: that fires when the launching *thread* ends, and does not reach
// grandchildren.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_GUARDIAN_CHILD_H_
#define BROOD_LAUNCHER_GUARDIAN_CHILD_H_

#include <sys/types.h>

#include "launcher/launch_record.h"

namespace brood::child {

// How a guardian without an init gets its target. See light_guardian.h.
struct LightBirth {
  pid_t (*fork_target)(void* arg) = nullptr;  // A child, or a negative errno value.
  void (*release)(void* arg) = nullptr;       // Lets the caller go on, which may free what the record points to.
  void* arg = nullptr;
};

// Called in the process that becomes the guardian, all signals blocked. Never returns.
[[noreturn]] void RunGuardian(LaunchRecord* record);

// As RunGuardian, in a process that shares the caller's memory: the guardian is the target's parent itself.
[[noreturn]] void RunLightGuardian(LaunchRecord* record, const LightBirth& birth);

// Called in the target that LightBirth::fork_target made, all signals blocked.
[[noreturn]] void RunLightTarget(const LaunchRecord& record);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_GUARDIAN_CHILD_H_
