// The end of a guardian: it tells how its child ended, and leaves when its caller has heard it.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_GUARDIAN_END_CHILD_H_
#define BROOD_LAUNCHER_GUARDIAN_END_CHILD_H_

#include "launcher/launch_record.h"

namespace brood::child {

// Writes the report. Where the record says that it stays, it then sleeps, holding nothing, until the caller has let go of
// it or is gone: a child of the caller's that ended at once would be a zombie until the caller's next call, since only its
// parent can reap it, and an embedder's SIGCHLD, threads and signal handlers are not ours to take for that. wait(2),
// "NOTES". `let_go`: the caller has said so already.
[[noreturn]] void TellAndLeave(const LaunchRecord& record, const GuardianReport& report, bool let_go);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_GUARDIAN_END_CHILD_H_
