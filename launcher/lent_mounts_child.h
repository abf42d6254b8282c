// Opens the mounts that a caller lends to its child with its own rights, and maps their owner to the child's id.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_LENT_MOUNTS_CHILD_H_
#define BROOD_LAUNCHER_LENT_MOUNTS_CHILD_H_

#include "launcher/launch_record.h"

namespace brood::child {

// Writes the id maps of the user namespace of `pid`: `inside` there is `outside` here. With `deny_setgroups` for a
// caller without privileges. user_namespaces(7).
bool WriteIdMaps(pid_t pid, uint32_t inside_uid, uint32_t outside_uid, uint32_t inside_gid, uint32_t outside_gid,
                 bool deny_setgroups, SetupMessage* failure);

// Opens the sources of all lent steps, in order, into `fds`; returns how many, or -1 with `failure` filled.
int OpenLentMounts(const LaunchRecord& record, uint32_t outside_id, int* fds, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_LENT_MOUNTS_CHILD_H_
