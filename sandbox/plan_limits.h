// The limits of a tree and of its processes, as this machine can enforce them.
#ifndef BROOD_SANDBOX_PLAN_LIMITS_H_
#define BROOD_SANDBOX_PLAN_LIMITS_H_

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "sandbox/layer.h"
#include "sandbox/linux_plan.h"
#include "sandbox/machine.h"
#include "sandbox/policy.h"

namespace brood {

// The RLIMIT_ constant of a limit of Limits::rlimits, in lower case without "RLIMIT_"; -1 if there is none that can be asked for.
int ResourceOf(std::string_view name);

// Fills `limits` with those in force, adds to `enforced` by what each is, and to `platform`, whose namespaces, mounts, filter and ids are
// planned already, what enforces it.
//
// Errors: InvalidArgument (limits that contradict each other, a CPU that is not here); FailedPrecondition (one was asked for, and
//   cannot be enforced here for the whole tree), with what would change it.
absl::Status PlanLimits(const Policy& policy, const Machine& machine, PlatformPlan* platform, Limits* limits,
                        std::map<Layer, std::string>* enforced);

}  // namespace brood

#endif  // BROOD_SANDBOX_PLAN_LIMITS_H_
