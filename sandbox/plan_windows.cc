#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "sandbox/app_container_windows.h"
#include "sandbox/job_limits_windows.h"
#include "sandbox/plan.h"
#include "sandbox/token_windows.h"
#include "sandbox/windows_layers.h"
#include "sandbox/windows_plan.h"

namespace brood {

// Fails closed: what Windows lacks, or what this system takes and does not keep, is an error that names it, unless its
// absence is accepted. What is accepted is set all the same, and not told as enforced.
class PlanBuilder {
 public:
  explicit PlanBuilder(const Policy& policy) : plan_(std::make_shared<CompiledPolicy>()), platform_(std::make_shared<PlatformPlan>()) {
    plan_->policy_ = policy;
    plan_->platform_ = platform_;
  }

  absl::StatusOr<std::shared_ptr<const CompiledPolicy>> Build() {
    const Policy& policy = plan_->policy_;
    if (policy.limits.grace) return absl::UnimplementedError("limits: grace: Windows has no signal that asks a program to end; leave it out");
    // It reaches nothing, not even itself over loopback: for who asked for that.
    platform_->contained = policy.namespaces.count(Layer::kNet) != 0 && policy.network.mode == NetworkMode::kNone;
    for (const Layer layer : policy.namespaces) {
      if (layer != Layer::kNet || !platform_->contained) Lacks(layer);
    }
    if (policy.landlock == LandlockUse::kRequired) Lacks(Layer::kLandlock);
    if (policy.speculation == SpeculationControl::kMitigate) Lacks(Layer::kSpeculation);
    if (!policy.label.empty()) Lacks(Layer::kLabel);
    if (policy.filter_syscalls || !policy.bpf_files.empty()) Lacks(Layer::kSeccomp);
    if (!policy.groups.empty()) return absl::UnimplementedError("groups: these are numbers of groups of Linux; leave them out");
    if (policy.proc == ProcAccess::kReadWrite) Lacks(Layer::kMount);
    if (policy.process != ProcessAttributes()) return absl::UnimplementedError("process: these are attributes of processes of Linux; leave them out");
    platform_->mitigates = policy.filter_syscalls;
    platform_->job.restricts_ui = policy.namespaces.count(Layer::kIpc) != 0;
    platform_->token = {.drops_privileges = policy.drop_privileges, .low_integrity = policy.drop_privileges};
    PlanLimits();
    BROOD_ASSIGN_OR_RETURN(LayerChecks checks, ProbeJobLimits(platform_->job));
    checks.merge(ProbeToken(platform_->token));
    if (platform_->contained) {
      checks[Layer::kNet] = ProbeAppContainer(platform_->token);
      // The container's own rules about files, not the policy's: the weaker form of what is lacking in full.
      if (policy.namespaces.count(Layer::kMount) != 0) checks[Layer::kMount] = checks[Layer::kNet];
    }
    for (const auto& [layer, status] : checks) Take(layer, status);
    if (lacking_.empty() && unkept_.empty()) return std::shared_ptr<const CompiledPolicy>(plan_);
    return absl::FailedPreconditionError(Problem());
  }

 private:
  void PlanLimits() {
    const Limits& asked = plan_->policy_.limits;
    const Limits& usual = plan_->policy_.default_limits;  // In the strongest form that there is, which may be none.
    Limits& limits = plan_->limits_;
    limits.wall_time = asked.wall_time ? asked.wall_time : usual.wall_time;
    if (limits.wall_time) plan_->enforced_[Layer::kWallTime] = kWallTimeByWhat;
    platform_->job.memory_bytes = limits.memory_bytes = asked.memory_bytes ? asked.memory_bytes : usual.memory_bytes;
    platform_->job.processes = limits.processes = asked.processes ? asked.processes : usual.processes;
    platform_->job.cpu_time = limits.cpu_time = asked.cpu_time ? asked.cpu_time : usual.cpu_time;
    limits.output_bytes = asked.output_bytes ? asked.output_bytes : usual.output_bytes;
    if (limits.output_bytes) plan_->enforced_[Layer::kOutput] = LayerByWhat(Layer::kOutput);
    if (asked.file_size_bytes) Lacks(Layer::kFileSize);
    if (asked.open_files) Lacks(Layer::kOpenFiles);
    if (!asked.rlimits.empty()) Lacks(Layer::kRlimits);
    if (asked.disk_bytes) Lacks(Layer::kDisk);
    if (asked.cpus_milli || asked.cpu_weight || asked.cpu_set) Lacks(Layer::kCpu);
    if (asked.io_weight || asked.io_rate_bytes) Lacks(Layer::kIo);
  }

  bool Required(Layer layer) const {
    const Limits& asked = plan_->policy_.limits;
    if (plan_->policy_.allow_weaker.count(layer) != 0) return false;
    if (layer == Layer::kMemory) return asked.memory_bytes.has_value();
    if (layer == Layer::kProcesses) return asked.processes.has_value();
    if (layer == Layer::kCpuTime) return asked.cpu_time.has_value();
    return true;
  }

  void Take(Layer layer, const absl::Status& check) {
    if (check.ok()) {
      plan_->enforced_[layer] = LayerByWhat(layer);
    } else if (layer != Layer::kIpc && layer != Layer::kMount && Required(layer)) {  // These are lacking in full anyhow.
      unkept_.emplace_back(layer, check.message());
    }
  }

  void Lacks(Layer layer) {
    if (plan_->policy_.allow_weaker.count(layer) == 0) lacking_.push_back(layer);
  }

  std::string Problem() const {
    std::vector<std::string> parts;
    std::vector<std::string_view> names;
    for (const Layer layer : lacking_) names.push_back(LayerName(layer));
    if (!names.empty()) parts.push_back(absl::StrCat("Windows has no ", absl::StrJoin(names, ", ")));
    for (const auto& [layer, why] : unkept_) {
      parts.push_back(absl::StrCat("this system does not enforce ", LayerName(layer), " (", why, ")"));
      names.push_back(LayerName(layer));
    }
    // Of none, only what was asked for besides is lacking.
    const bool is_none = plan_->policy_.name == "none";
    return absl::StrCat("policy ", plan_->policy_.name, ": ", absl::StrJoin(parts, "; "), "; ", is_none ? "" : "use the policy none, or ",
                        "accept the sandbox without them, with --allow-weaker ", absl::StrJoin(names, ","));
  }

  std::shared_ptr<CompiledPolicy> plan_;
  std::shared_ptr<PlatformPlan> platform_;
  std::vector<Layer> lacking_;
  std::vector<std::pair<Layer, std::string>> unkept_;
};

absl::StatusOr<std::shared_ptr<const CompiledPolicy>> CompilePolicy(const Policy& policy, const UntrustedDirectories&) { return PlanBuilder(policy).Build(); }

}  // namespace brood
