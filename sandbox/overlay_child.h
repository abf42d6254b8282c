// A view of directories in which everything can be changed, and of which nothing is: changes are in memory, or in another
// directory. Or one in which nothing can be changed.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_OVERLAY_CHILD_H_
#define BROOD_SANDBOX_OVERLAY_CHILD_H_

#include <cstddef>

#include "base/setup_message.h"
#include "sandbox/child_plan.h"

namespace brood::child {

// Which of the steps after that of an overlay belong to it.
struct OverlayParts {
  size_t layers = 0;     // So many kLayer,
  bool changes = false;  // and then one kChanges.
};

// Makes an overlayfs that shows `sources[0]`, a detached mount, and below it the layers, which follow it in `sources`. All changes
// are in a tmpfs of its own, or, if `parts` has one, in the directory for them, which follows the layers: there they are in "upper"
// beside "work", which is the kernel's. A step without either is read-only. `root`, the root that is being built, serves as the
// place where they meet. Returns the detached overlay, or -1 with `failure` filled. Closes its sources.
int MakeOverlay(const MountStep& step, const int* sources, const OverlayParts& parts, int root, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_SANDBOX_OVERLAY_CHILD_H_
