// Attributes of processes, as numbers that a child sets.
#ifndef BROOD_SANDBOX_PLAN_ATTRIBUTES_H_
#define BROOD_SANDBOX_PLAN_ATTRIBUTES_H_

#include "absl/status/status.h"
#include "sandbox/child_plan.h"
#include "sandbox/policy.h"

namespace brood {

// Errors: InvalidArgument (none that can be), FailedPrecondition (this kernel or processor has it not), naming the field.
absl::Status PlanAttributes(const Policy& policy, AttributeSteps* steps);

}  // namespace brood

#endif  // BROOD_SANDBOX_PLAN_ATTRIBUTES_H_
