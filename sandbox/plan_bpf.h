// Filters that somebody else has made, beside the policy's own.
//
// The kernel asks all filters of a process and takes the strictest answer, so that one more can only narrow. But each decides about
// the loading of the next, too, and few that people have allow seccomp(2). So all but the last get a beginning that allows it, and
// the last one, which is the policy's own if it has one, gets one that answers it as the strictest of them would have. Between the
// first and the last nothing happens that is not brood's. The policy's own is the last also because of two filters with the same
// action the later one's counts: its violations go to the guardian. kernel/seccomp.c, seccomp_run_filters()
#ifndef BROOD_SANDBOX_PLAN_BPF_H_
#define BROOD_SANDBOX_PLAN_BPF_H_

#include <string>

#include "absl/status/statusor.h"
#include "sandbox/linux_plan.h"
#include "sandbox/policy.h"

namespace brood {

// Fills in what `plan` has of them, and changes its filter, which is compiled already. Gives what an outcome says of them; empty if
// there are none.
//
// Errors: InvalidArgument naming the file, and what is wrong with it.
absl::StatusOr<std::string> PlanBpf(const Policy& policy, PlatformPlan* plan);

}  // namespace brood

#endif  // BROOD_SANDBOX_PLAN_BPF_H_
