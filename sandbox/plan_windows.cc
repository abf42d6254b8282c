#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "sandbox/plan.h"
#include "sandbox/windows_plan.h"

namespace brood {

// Fails closed: what Windows lacks, or what this version does not enforce there yet, is an error that names it, unless its
// absence is accepted.
class PlanBuilder {
 public:
  explicit PlanBuilder(const Policy& policy) : plan_(std::make_shared<CompiledPolicy>()) {
    plan_->policy_ = policy;
    plan_->platform_ = std::make_shared<PlatformPlan>();
  }

  absl::StatusOr<std::shared_ptr<const CompiledPolicy>> Build() {
    Policy& policy = plan_->policy_;
    for (const Layer layer : policy.namespaces) Lacks(layer);
    if (policy.drop_privileges) {
      Lacks(Layer::kCapabilities);
      Lacks(Layer::kNoNewPrivs);
    }
    if (policy.landlock == LandlockUse::kRequired) Lacks(Layer::kLandlock);
    if (policy.filter_syscalls) Lacks(Layer::kSeccomp);
    const Limits& asked = policy.limits;
    if (asked.memory_bytes) Lacks(Layer::kMemory);
    if (asked.processes) Lacks(Layer::kProcesses);
    if (asked.cpu_time) Lacks(Layer::kCpuTime);
    if (asked.output_bytes) Lacks(Layer::kOutput);
    if (asked.file_size_bytes) Lacks(Layer::kFileSize);
    if (asked.open_files) Lacks(Layer::kOpenFiles);
    // That of a built-in takes the strongest form that there is, which may be none.
    plan_->limits_.wall_time = asked.wall_time ? asked.wall_time : policy.default_limits.wall_time;
    if (plan_->limits_.wall_time) plan_->enforced_[Layer::kWallTime] = "timer that ends the job";
    if (!missing_.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "policy ", policy.name, ": Windows has no ", absl::StrJoin(missing_, ", "), "; use the policy none, or accept the "
          "sandbox without them, with --allow-weaker ", absl::StrJoin(missing_, ",")));
    }
    return std::shared_ptr<const CompiledPolicy>(plan_);
  }

 private:
  void Lacks(Layer layer) {
    if (plan_->policy_.allow_weaker.count(layer) == 0) missing_.emplace_back(LayerName(layer));
  }

  std::shared_ptr<CompiledPolicy> plan_;
  std::vector<std::string> missing_;
};

absl::StatusOr<std::shared_ptr<const CompiledPolicy>> CompilePolicy(const Policy& policy) { return PlanBuilder(policy).Build(); }

}  // namespace brood
