// The last steps before the target runs, in the process that becomes it.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_TARGET_CHILD_H_
#define BROOD_LAUNCHER_TARGET_CHILD_H_

#include <sys/types.h>

#include "launcher/launch_record.h"

namespace brood::child {

struct Birth {
  pid_t pid = -1;     // Of the target, in init's namespace.
  int pidfd = -1;
  int listener = -1;  // Of the target's filter, -1 if it has none.
};

// In an init that still has the /proc of its caller: opens it, for the label of the target. -1: it gets none, or with `failure`.
int OpenProcForLabel(const LaunchRecord& record, SetupMessage* failure);

// Starts the target as a child of the caller of this function. Its descriptors must be in place already (descriptors_child.h):
// a program shares the table until its exec, which is how its filter's listener becomes ours.
bool StartTarget(const LaunchRecord& record, Birth* birth, SetupMessage* failure);

// Starts an executable as a child of its light guardian, without an init between them: its directory and descriptors are
// set by itself. If it could not run it is reaped.
bool StartLightExecutable(const LaunchRecord& record, Birth* birth, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_TARGET_CHILD_H_
