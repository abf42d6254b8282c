// A policy compiled for this machine: filter, mounts, limits, and for each layer by what it is enforced.
//
//   BROOD_ASSIGN_OR_RETURN(auto plan, CompilePolicy(policy));   // Once; then for any number of launches.
//
// Immutable, so any thread may use it.
#ifndef BROOD_SANDBOX_PLAN_H_
#define BROOD_SANDBOX_PLAN_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/untrusted_directories.h"
#include "sandbox/layer.h"
#include "sandbox/policy.h"

namespace brood {

// How this system carries it out: sandbox/linux_plan.h, sandbox/windows_plan.h.
struct PlatformPlan;

class CompiledPolicy {
 public:
  const Policy& policy() const { return policy_; }

  // The limits in force: those asked for, and a built-in's where nothing was asked for.
  const Limits& limits() const { return limits_; }

  const std::map<Layer, std::string>& enforced() const { return enforced_; }

  // For launcher/ only.
  const PlatformPlan& platform() const { return *platform_; }

 private:
  friend class PlanBuilder;
  Policy policy_;
  Limits limits_;
  std::map<Layer, std::string> enforced_;
  std::shared_ptr<const PlatformPlan> platform_;
};

// Errors: InvalidArgument (a rule names an unknown system call, a path is not absolute, ...) naming the rule;
//   FailedPrecondition (a layer or limit that was asked for and cannot be enforced here) naming the layer and the remedy.
//
// In `untrusted` directories no link is followed to what a file rule shows. Linux.
absl::StatusOr<std::shared_ptr<const CompiledPolicy>> CompilePolicy(const Policy& policy, const UntrustedDirectories& untrusted = {});

}  // namespace brood

#endif  // BROOD_SANDBOX_PLAN_H_
