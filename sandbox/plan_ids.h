// The ids of a child and the capabilities that it keeps over them, for this machine.
#ifndef BROOD_SANDBOX_PLAN_IDS_H_
#define BROOD_SANDBOX_PLAN_IDS_H_

#include <deque>
#include <string>

#include "absl/status/status.h"
#include "sandbox/child_plan.h"
#include "sandbox/machine.h"
#include "sandbox/policy.h"

namespace brood {

// Fills the ids of `plan`, whose other fields are those of the policy; texts go to `texts`.
//
// Errors: InvalidArgument (ids that no kernel takes, an unknown capability, no user namespace for them); FailedPrecondition
//   (this caller has not that many ids), with what would change it.
absl::Status PlanIds(const Policy& policy, const Machine& machine, std::deque<std::string>* texts, ChildPlan* plan);

}  // namespace brood

#endif  // BROOD_SANDBOX_PLAN_IDS_H_
