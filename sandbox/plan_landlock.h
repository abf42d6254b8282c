// What Landlock refuses a child besides what its namespaces and its filter do, compiled for this machine's kernel.
#ifndef BROOD_SANDBOX_PLAN_LANDLOCK_H_
#define BROOD_SANDBOX_PLAN_LANDLOCK_H_

#include <deque>
#include <string>
#include <vector>

#include "sandbox/child_plan.h"
#include "sandbox/policy.h"

namespace brood {

struct LandlockPlan {
  uint64_t files = 0;
  uint64_t tcp = 0;
  uint64_t scopes = 0;
  std::vector<LandlockRule> rules;
  std::string by_what;  // "Landlock ABI 7: files, TCP"; what is refused.
  std::string missing;  // What an older kernel than is needed for all of it can't refuse; empty: nothing.
};

// For a child with its own root, in which `mounts` are. `own_network` is false where it has this machine's.
LandlockPlan PlanLandlock(int abi, const Policy& policy, const std::vector<MountStep>& mounts, bool own_network,
                          std::deque<std::string>* texts);

}  // namespace brood

#endif  // BROOD_SANDBOX_PLAN_LANDLOCK_H_
