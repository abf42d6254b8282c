// Takes the snapshot for a stack trace. See snapshot.h.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_STACK_SNAPSHOT_CHILD_H_
#define BROOD_LAUNCHER_STACK_SNAPSHOT_CHILD_H_

#include <sys/types.h>

namespace brood::child {

// Of the thread `tid`, whose call waits for the answer of its filter's listener, into `sink`. It is stopped for that, by
// ptrace(2), and goes on to wait: the kernel makes the call anew, and the listener must not answer it either. Some hundred
// microseconds; a thread that does not stop within half a second has no trace.
void WriteStackSnapshot(pid_t tid, int sink);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_STACK_SNAPSHOT_CHILD_H_
