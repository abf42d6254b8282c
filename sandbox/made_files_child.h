// Links, empty directories and files of given content, in the file systems that a launch has made itself.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_MADE_FILES_CHILD_H_
#define BROOD_SANDBOX_MADE_FILES_CHILD_H_

#include "base/setup_message.h"
#include "sandbox/child_plan.h"

namespace brood::child {

// Makes what `step` says as `name` in the directory `parent`, whose file system is one's own, with its mode but for the process's
// mask. False with errno: EEXIST if something is there, a link too.
bool MakeInDirectory(int parent, const char* name, const MountStep& step);

// In the root of the child, as the current one: what the policy had made is there as it said, links too, and a tmpfs has
// its mode. False with `failure`, whose step is "read_back".
bool ReadBackMade(const ChildPlan& plan, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_SANDBOX_MADE_FILES_CHILD_H_
