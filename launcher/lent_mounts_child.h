// Opens the mounts that a caller lends to its child with its own rights, and maps their owner to the child's id. Locks the
// directories in which overlays keep their changes.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_LENT_MOUNTS_CHILD_H_
#define BROOD_LAUNCHER_LENT_MOUNTS_CHILD_H_

#include "launcher/launch_record.h"

namespace brood::child {

// Opens the sources of all lent steps, in order, into `fds`; returns how many, or -1 with `failure` filled.
int OpenLentMounts(const LaunchRecord& record, uint32_t outside_id, int* fds, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_LENT_MOUNTS_CHILD_H_
