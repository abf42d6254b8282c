// The child's init: sets the sandbox up, starts the target, reaps what is left to it, and says how the target ended.
//
// It is pid 1 where the child has a pid namespace, so that the program is not: the kernel hides a pid 1's own fatal
// signals (pid_namespaces(7)), and peers that run the program as pid 1 report exit 0 for a crash because of it.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_INIT_CHILD_H_
#define BROOD_LAUNCHER_INIT_CHILD_H_

#include "launcher/launch_record.h"

namespace brood::child {

[[noreturn]] void RunInit(const LaunchRecord& record);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_INIT_CHILD_H_
