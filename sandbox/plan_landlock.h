// What Landlock refuses a child besides what its namespaces and its filter do, compiled for this machine's kernel.
#ifndef BROOD_SANDBOX_PLAN_LANDLOCK_H_
#define BROOD_SANDBOX_PLAN_LANDLOCK_H_

#include <deque>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "sandbox/child_plan.h"
#include "sandbox/policy.h"

namespace brood {

struct LandlockPlan {
  uint64_t files = 0;  // Then nothing can be opened that no rule allows.
  uint64_t tcp = 0;
  uint64_t scopes = 0;
  std::vector<LandlockRule> rules;
  std::string by_what;  // "Landlock ABI 7: files, TCP"; what is refused.
  std::string missing;  // What an older kernel than is needed for all of it can't refuse; empty: nothing.
};

// All but the rules. `files`: there is a list of them. `own_network` is false where the child has this machine's.
LandlockPlan PlanLandlock(int abi, const Policy& policy, bool files, bool own_network);

// The files of a child with its own root, in which `mounts` are.
void AllowMounts(const std::vector<MountStep>& mounts, std::deque<std::string>* texts, LandlockPlan* plan);

// The files of a child that has no mount namespace, though `policy` asks for one: of this machine what the policy shows, each
// at its own path. Errors: InvalidArgument and NotFound, naming the rule.
absl::Status AllowHostFiles(const Policy& policy, std::deque<std::string>* texts, LandlockPlan* plan);

}  // namespace brood

#endif  // BROOD_SANDBOX_PLAN_LANDLOCK_H_
