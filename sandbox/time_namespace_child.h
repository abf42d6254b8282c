// Clocks that begin anew: the time namespace of a child.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_TIME_NAMESPACE_CHILD_H_
#define BROOD_SANDBOX_TIME_NAMESPACE_CHILD_H_

#include <cstdint>

#include "base/setup_message.h"
#include "sandbox/child_plan.h"

namespace brood::child {

// What the clocks inside are ahead of those outside.
struct ClockOffsets {
  int64_t monotonic_ns = 0;
  int64_t boottime_ns = 0;
};

// Puts the calling process, which has one thread, into a time namespace whose clocks show at this moment what the plan says. Its
// own clock is another one afterwards. Needs CAP_SYS_ADMIN and CAP_SYS_TIME in its user namespace and a mounted /proc.
bool EnterTimeNamespace(const ChildPlan& plan, ClockOffsets* offsets, SetupMessage* failure);

// Whether the kernel has those offsets for us. False with `failure`, whose step is "read_back".
bool ReadBackClocks(const ClockOffsets& offsets, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_SANDBOX_TIME_NAMESPACE_CHILD_H_
