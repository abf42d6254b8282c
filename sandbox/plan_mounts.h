// The mount steps of a policy on this machine, in the order in which they are carried out.
#ifndef BROOD_SANDBOX_PLAN_MOUNTS_H_
#define BROOD_SANDBOX_PLAN_MOUNTS_H_

#include <deque>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/untrusted_directories.h"
#include "sandbox/child_plan.h"
#include "sandbox/destination_lookup.h"
#include "sandbox/policy.h"

namespace brood {

// `names` are to be found inside, in /etc/hosts. `untrusted` is as CompilePolicy has it. `queues`: so are POSIX message queues, in
// /dev/mqueue. Strings that the steps point to are kept in `texts`. Errors: InvalidArgument and NotFound, naming the rule.
absl::StatusOr<std::vector<MountStep>> PlanMounts(const Policy& policy, const std::vector<ResolvedName>& names,
                                                  const UntrustedDirectories& untrusted, bool lend, bool queues,
                                                  std::deque<std::string>* texts);

}  // namespace brood

#endif  // BROOD_SANDBOX_PLAN_MOUNTS_H_
