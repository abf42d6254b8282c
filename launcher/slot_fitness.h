// Which policies a slot can keep from one child to the next.
#ifndef BROOD_LAUNCHER_SLOT_FITNESS_H_
#define BROOD_LAUNCHER_SLOT_FITNESS_H_

#include "absl/status/status.h"
#include "sandbox/child_plan.h"
#include "sandbox/plan.h"

namespace brood::internal {

// Errors: FailedPrecondition, naming what a child under `policy` could leave that a slot does not see, or what it needs that
// a slot does not give. docs/slots.md.
absl::Status FitsSlot(const CompiledPolicy& policy);

// Of a policy that fits, whether children may be programs. Errors: as above.
absl::Status FitsPrograms(const CompiledPolicy& policy);

// Of a policy that fits, whether it allows what a child in reserve needs (forkserver/reserve_child.h).
bool FitsReserve(const ChildPlan& plan);

// The same of what makes its forks cheaper (forkserver/cold_memory_child.h).
bool FitsForgetting(const ChildPlan& plan);

// Whether children can make objects of IPC in their namespace, and leave them there.
bool AllowsIpc(const ChildPlan& plan);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_SLOT_FITNESS_H_
