// The guardian of one child: enforces its limits, passes its output on, ends its tree, and reports how it ended.
//
// It is a small process of brood's own between owner and child. It sees the owner's death as end of file on its socket
// (and through a pidfd), never by PR_SET_PDEATHSIG: that fires when the launching *thread* ends, and does not reach
// grandchildren.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_GUARDIAN_CHILD_H_
#define BROOD_LAUNCHER_GUARDIAN_CHILD_H_

#include "launcher/launch_record.h"

namespace brood::child {

// Called in the process that becomes the guardian, all signals blocked. Never returns.
[[noreturn]] void RunGuardian(LaunchRecord* record);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_GUARDIAN_CHILD_H_
