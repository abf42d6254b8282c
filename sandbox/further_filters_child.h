// Loads filters that somebody else has made. What they do to brood's own calls sandbox/plan_bpf.h has seen to.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_FURTHER_FILTERS_CHILD_H_
#define BROOD_SANDBOX_FURTHER_FILTERS_CHILD_H_

#include "base/setup_message.h"
#include "sandbox/child_plan.h"

namespace brood::child {

// In the target, before its own filter. With `read_back` the kernel is asked how many filters there are now, where they let it.
bool LoadFurtherFilters(const ChildPlan& plan, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_SANDBOX_FURTHER_FILTERS_CHILD_H_
