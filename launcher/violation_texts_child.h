// What the arguments of a forbidden call point to, copied while the call waits to be judged.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_VIOLATION_TEXTS_CHILD_H_
#define BROOD_LAUNCHER_VIOLATION_TEXTS_CHILD_H_

#include <linux/seccomp.h>

#include "launcher/launch_record.h"

namespace brood::child {

// Paths, other text, and socket addresses, of calls of the machine's own architecture. What cannot be read is left out: the
// memory is a hostile program's, and another thread may change it meanwhile.
void CopyViolationTexts(const seccomp_notif& call, GuardianReport* report);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_VIOLATION_TEXTS_CHILD_H_
