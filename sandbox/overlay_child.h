// A view of a directory in which everything can be changed, and of which nothing is: changes are in memory, or in another directory.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_OVERLAY_CHILD_H_
#define BROOD_SANDBOX_OVERLAY_CHILD_H_

#include "base/setup_message.h"
#include "sandbox/child_plan.h"

namespace brood::child {

// Makes an overlayfs that shows `source`, a detached mount, with all changes in a tmpfs of its own, or, unless it is -1, in `changes`,
// another detached mount: there they are in "upper" beside "work", which is the kernel's. `root`, the root that is being built,
// serves as the place where they meet. Returns the detached overlay, or -1 with `failure` filled. Closes `source` and `changes`.
int MakeOverlay(const MountStep& step, int source, int changes, int root, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_SANDBOX_OVERLAY_CHILD_H_
