// Takes privileges away from a child: ids, groups, capabilities, system calls, resources.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_PRIVILEGES_CHILD_H_
#define BROOD_SANDBOX_PRIVILEGES_CHILD_H_

#include <cstdint>

#include "base/setup_message.h"
#include "sandbox/child_plan.h"

namespace brood::child {

// Becomes uid and gid `id` (real, effective, saved, file system), with no supplementary groups if `drop_groups`.
// In a new user namespace the capabilities stay until DropPrivileges.
bool ChooseGroups(const ChildPlan& plan, SetupMessage* failure);  // Before it: those of the plan, if it has some.
bool SwitchIds(uint32_t uid, uint32_t gid, bool drop_groups, SetupMessage* failure);

// Empties the bounding set but for `kept`, and locks the secure bits where that is nothing, as far as the caller may:
// CAP_SETPCAP goes with root's id, so that this comes before SwitchIds where there is no new user namespace.
bool LockPrivileges(uint64_t kept, SetupMessage* failure);

// Empties the other four capability sets but for `kept`, sets no_new_privs and makes the process undumpable.
bool DropPrivileges(uint64_t kept, SetupMessage* failure);

// How much of what is counted for the caller the child may take up of inotify(7). Only in a user namespace of its own, before
// its privileges are dropped and while the caller's /proc is there.
// Some 40 microseconds.
void LimitWatches();

bool ApplyRlimits(const ChildPlan& plan, SetupMessage* failure);

// Leaves the calling process, and what it will start, the planned CPUs.
bool ApplyCpus(const ChildPlan& plan, SetupMessage* failure);

// Turns off for the calling process, and what it will start, what the plan has of speculation.
bool LimitSpeculation(const ChildPlan& plan, SetupMessage* failure);

// Loads the filter. `listener` gets the descriptor of its notifications, or -1 if it has none.
bool LoadFilter(const ChildPlan& plan, int* listener, SetupMessage* failure);

// Brings the loopback interface of the own network namespace up.
bool BringLoopbackUp(SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_SANDBOX_PRIVILEGES_CHILD_H_
