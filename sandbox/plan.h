// A policy compiled for this machine: filter, mounts, limits, and for each layer by what it is enforced.
//
//   BROOD_ASSIGN_OR_RETURN(auto plan, CompilePolicy(policy));   // Once; then for any number of launches.
//
// Immutable, so any thread may use it.
#ifndef BROOD_SANDBOX_PLAN_H_
#define BROOD_SANDBOX_PLAN_H_

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sandbox/cgroup.h"
#include "sandbox/child_plan.h"
#include "sandbox/policy.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {

class CompiledPolicy {
 public:
  const Policy& policy() const { return policy_; }

  // Points into this object.
  const ChildPlan& child_plan() const { return child_plan_; }

  // What every launch needs of cgroups; empty if none.
  const CgroupRequest& cgroups() const { return cgroups_; }
  bool needs_cgroups() const { return needs_cgroups_; }

  // The limits in force: those asked for, and a built-in's where nothing was asked for.
  const Limits& limits() const { return limits_; }

  // The guardian adds up the memory of the tree itself, since no cgroup does it.
  bool sample_memory() const { return sample_memory_; }
  // Processes are limited by RLIMIT_NPROC alone: only by counting them is it seen that they reached it.
  bool count_processes() const { return count_processes_; }

  // No program can be started under the filter.
  bool forbids_exec() const { return filter_.forbids_exec; }

  const std::map<Layer, std::string>& enforced() const { return enforced_; }

 private:
  friend class PlanBuilder;
  Policy policy_;
  Limits limits_;
  CompiledFilter filter_;
  std::deque<std::string> texts_;  // Stable addresses for what child_plan_ points to.
  std::vector<MountStep> mounts_;
  std::vector<RlimitStep> rlimits_;
  ChildPlan child_plan_;
  CgroupRequest cgroups_;
  bool needs_cgroups_ = false;
  bool sample_memory_ = false;
  bool count_processes_ = false;
  std::map<Layer, std::string> enforced_;
};

// Errors: InvalidArgument (a rule names an unknown system call, a path is not absolute, ...) naming the rule;
//   FailedPrecondition (a layer or limit that was asked for and cannot be enforced here) naming the layer and the remedy.
absl::StatusOr<std::shared_ptr<const CompiledPolicy>> CompilePolicy(const Policy& policy);

}  // namespace brood

#endif  // BROOD_SANDBOX_PLAN_H_
