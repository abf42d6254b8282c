// What Linux makes of a policy, for a child to carry out. For sandbox/ and launcher/.
#ifndef BROOD_SANDBOX_LINUX_PLAN_H_
#define BROOD_SANDBOX_LINUX_PLAN_H_

#include <deque>
#include <string>
#include <vector>

#include "sandbox/cgroup.h"
#include "sandbox/child_plan.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {

struct PlatformPlan {
  ChildPlan child;          // Points into this object.
  CgroupRequest cgroups;    // What every launch needs of them; empty if none.
  bool needs_cgroups = false;
  bool sample_memory = false;    // The guardian adds up the memory of the tree itself, since no cgroup does it.
  bool count_processes = false;  // RLIMIT_NPROC alone limits them: only by counting is it seen that they reached it.
  CompiledFilter filter;

  // What `child` points to.
  std::deque<std::string> texts;  // Stable addresses.
  std::vector<MountStep> mounts;
  std::deque<std::vector<sock_filter>> further_programs;
  std::vector<FurtherFilter> further_filters;
  bool further_decide_clone3 = false;  // One of them, before `filter` is asked.
  std::string functions_need;          // Empty, or why no function can be born under them, or under `filter`.
  std::vector<RlimitStep> rlimits;
  std::vector<uint32_t> groups;
  std::vector<DestinationRecord> destinations;
  std::vector<LandlockRule> landlock_rules;
};

}  // namespace brood

#endif  // BROOD_SANDBOX_LINUX_PLAN_H_
