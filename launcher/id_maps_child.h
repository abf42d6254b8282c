// Which ids of the outside those in a child's user namespace are.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_ID_MAPS_CHILD_H_
#define BROOD_LAUNCHER_ID_MAPS_CHILD_H_

#include <sys/types.h>

#include <cstdint>

#include "base/setup_message.h"
#include "sandbox/child_plan.h"

namespace brood::child {

// Writes the id maps of the user namespace of `pid`: `inside` there is `outside` here. With `deny_setgroups` for a
// caller without privileges. user_namespaces(7).
bool WriteIdMaps(pid_t pid, uint32_t inside_uid, uint32_t outside_uid, uint32_t inside_gid, uint32_t outside_gid,
                 bool deny_setgroups, SetupMessage* failure);

// Those of a child whose own id is `outside_id`, or the caller's: the plan says which, and which others it has. `number` tells
// launches apart. Waits for newuidmap(1) where that has to write them.
bool MapChildIds(const ChildPlan& plan, pid_t pid, uint32_t outside_id, uint32_t number, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_ID_MAPS_CHILD_H_
