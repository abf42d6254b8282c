// Landlock, carried out: a ruleset is made of a plan, gets what only this launch knows of, and is entered for good.
//
// Who enters takes it along into all that it forks and executes. The init does not: it looks at /proc to end the tree where
// there is no pid namespace, and what is refused to the child is not refused to it. landlock(7)
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_LANDLOCK_CHILD_H_
#define BROOD_SANDBOX_LANDLOCK_CHILD_H_

#include "base/setup_message.h"
#include "sandbox/child_plan.h"

namespace brood::child {

// To be called where the child's root, ids and /proc are in place. -1 with `failure` filled. UsesLandlock(plan) must hold.
int MakeRuleset(const ChildPlan& plan, SetupMessage* failure);

// What a descriptor is open for may be opened again, through /proc/self/fd; a directory is the child's with all that is below.
// Pipes, sockets and files of memory need no rule.
bool AllowDescriptor(const ChildPlan& plan, int ruleset, int fd, SetupMessage* failure);

// The program that this process runs, for who forks it: to look at its own symbols.
bool AllowOwnProgram(const ChildPlan& plan, int ruleset, SetupMessage* failure);

// Needs no_new_privs.
bool EnterRuleset(int ruleset, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_SANDBOX_LANDLOCK_CHILD_H_
