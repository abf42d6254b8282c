#include "sandbox/plan.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "sandbox/destination_lookup.h"
#include "sandbox/filter_answers.h"
#include "sandbox/label.h"
#include "sandbox/linux_plan.h"
#include "sandbox/machine.h"
#include "sandbox/namespace_probe.h"
#include "sandbox/plan_attributes.h"
#include "sandbox/plan_bpf.h"
#include "sandbox/plan_ids.h"
#include "sandbox/plan_label.h"
#include "sandbox/plan_landlock.h"
#include "sandbox/plan_limits.h"
#include "sandbox/plan_mounts.h"
#include "sandbox/plan_speculation.h"
#include "sandbox/policy_check.h"

namespace brood {

class PlanBuilder {
 public:
  PlanBuilder(const Policy& policy, const UntrustedDirectories& untrusted)
      : plan_(std::make_shared<CompiledPolicy>()), platform_(std::make_shared<PlatformPlan>()), machine_(ThisMachine()), untrusted_(untrusted) {
    plan_->policy_ = policy;
    plan_->platform_ = platform_;
  }

  absl::StatusOr<std::shared_ptr<const CompiledPolicy>> Build() {
    BROOD_RETURN_IF_ERROR(CheckPolicy(policy()));
    BROOD_ASSIGN_OR_RETURN(platform_->filter, CompileFilter(policy()));
    if (!platform_->filter.instructions.empty()) {
      Enforce(Layer::kSeccomp, absl::StrCat("seccomp filter, ", platform_->filter.instructions.size(), " instructions"));
    }
    if (const std::vector<sock_filter>& own = platform_->filter.instructions; !own.empty() && !AnswersOf(own.data(), own.size(), SYS_write).always_allows()) {
      platform_->functions_need = "syscalls: a function cannot be born without write, by which it says that it is ready, and which the policy does not always allow";
    }
    BROOD_RETURN_IF_ERROR(FurtherFilters());
    BROOD_RETURN_IF_ERROR(PlanAttributes(policy(), &child().attributes));
    BROOD_RETURN_IF_ERROR(LeaveOutMissing());
    BROOD_RETURN_IF_ERROR(Destinations());
    Namespaces();
    BROOD_RETURN_IF_ERROR(Mounts());
    BROOD_RETURN_IF_ERROR(Privileges());
    BROOD_RETURN_IF_ERROR(Landlock());
    BROOD_RETURN_IF_ERROR(Speculation());
    BROOD_RETURN_IF_ERROR(Label());
    BROOD_RETURN_IF_ERROR(PlanLimits(policy(), machine_, platform_.get(), &plan_->limits_, &plan_->enforced_));
    Point();
    return std::shared_ptr<const CompiledPolicy>(plan_);
  }

 private:
  const Policy& policy() const { return plan_->policy_; }
  ChildPlan& child() { return platform_->child; }
  bool Has(Layer layer) const { return policy().namespaces.count(layer) != 0; }
  bool Weaker(Layer layer) const { return policy().allow_weaker.count(layer) != 0; }
  void Enforce(Layer layer, std::string by) { plan_->enforced_[layer] = std::move(by); }

  absl::Status FurtherFilters() {
    BROOD_ASSIGN_OR_RETURN(const std::string by, PlanBpf(policy(), platform_.get()));
    if (by.empty()) return absl::OkStatus();
    std::string& enforced = plan_->enforced_[Layer::kSeccomp];
    absl::StrAppend(&enforced, enforced.empty() ? "" : "; ", by);
    return absl::OkStatus();
  }

  // Takes those namespaces out of the policy that are not to be had here and whose absence is accepted; looks only if one is
  // accepted. What was asked for and is neither fails when the child is set up, by what the kernel says.
  absl::Status LeaveOutMissing() {
    Policy& effective = plan_->policy_;
    asked_ = policy();
    LayerSet accepted;
    for (const Layer layer : policy().namespaces) {
      if (Weaker(layer)) accepted.insert(layer);
    }
    if (accepted.empty()) return absl::OkStatus();
    BROOD_ASSIGN_OR_RETURN(LayerSet missing, MissingNamespaces(policy().namespaces, policy().minimal_system));
    // A /proc of the own processes needs both, so that one goes with the other.
    if (policy().minimal_system && (missing.count(Layer::kPid) != 0 || missing.count(Layer::kMount) != 0)) {
      missing.insert({Layer::kPid, Layer::kMount});
      if (accepted.count(Layer::kPid) == 0 || accepted.count(Layer::kMount) == 0) {
        accepted.erase(Layer::kPid);
        accepted.erase(Layer::kMount);
      }
    }
    for (const Layer layer : missing) {
      if (accepted.count(layer) == 0) continue;
      effective.namespaces.erase(layer);
      Enforce(layer, absl::StrCat("weaker: absent, no ", LayerName(layer), " namespace can be made here"));
    }
    if (Has(Layer::kMount)) return absl::OkStatus();
    effective.minimal_system = false;
    effective.proc = ProcAccess::kReadOnly;
    effective.files.clear();
    return absl::OkStatus();
  }

  absl::Status Destinations() {
    if (policy().network.mode != NetworkMode::kAllow) return absl::OkStatus();
    for (const std::string& text : policy().network.to) {
      BROOD_ASSIGN_OR_RETURN(const std::vector<Destination> destinations, ResolveDestination(text, &names_));
      for (const Destination& destination : destinations) {
        DestinationRecord record{.kind = static_cast<DestinationRecord::Kind>(destination.kind),
                                 .prefix_bits = destination.prefix_bits,
                                 .port = destination.port};
        std::copy(destination.address.begin(), destination.address.end(), record.address);
        if (destination.kind == Destination::Kind::kUnix) record.path = Keep(destination.path);
        platform_->destinations.push_back(record);
      }
    }
    return absl::OkStatus();
  }

  void Namespaces() {
    struct Kind {
      Layer layer;
      uint64_t flag;
      const char* text;
    };
    constexpr Kind kKinds[] = {
        {Layer::kUser, CLONE_NEWUSER, "user namespace"}, {Layer::kPid, CLONE_NEWPID, "pid namespace"},
        {Layer::kMount, CLONE_NEWNS, "mount namespace"}, {Layer::kNet, CLONE_NEWNET, "network namespace"},
        {Layer::kIpc, CLONE_NEWIPC, "ipc namespace"},    {Layer::kUts, CLONE_NEWUTS, "uts namespace"},
        {Layer::kCgroup, CLONE_NEWCGROUP, "cgroup namespace"},
        {Layer::kTime, CLONE_NEWTIME, "time namespace"}};
    const bool host_network = policy().network.mode == NetworkMode::kHost;
    for (const Kind& kind : kKinds) {
      if (!Has(kind.layer) || (kind.layer == Layer::kNet && host_network)) continue;
      child().namespaces |= kind.flag;
      Enforce(kind.layer, kind.text);
    }
    const bool served = policy().network.mode == NetworkMode::kAllow;
    child().loopback = (served || policy().network.mode == NetworkMode::kLoopback) && (child().namespaces & CLONE_NEWNET) != 0;
    if ((child().namespaces & CLONE_NEWNET) != 0) {
      Enforce(Layer::kNet, served ? absl::StrCat("network namespace with its own loopback, connections by the guardian to ",
                                                 policy().network.to.size(), " destinations")
                           : child().loopback ? "network namespace with its own loopback" : "network namespace without interfaces");
    }
    if (Has(Layer::kTime)) {
      const Clocks& clocks = policy().clocks;
      child().monotonic_start_ns = static_cast<uint64_t>(absl::ToInt64Nanoseconds(clocks.monotonic));
      child().boottime_start_ns = static_cast<uint64_t>(absl::ToInt64Nanoseconds(clocks.boottime));
      Enforce(Layer::kTime, absl::StrCat("time namespace, clocks begin at ", absl::FormatDuration(clocks.monotonic), " (monotonic) and ",
                                         absl::FormatDuration(clocks.boottime), " (boottime)"));
    }
    if (Has(Layer::kUts)) {
      hostname_ = policy().hostname.empty() ? "brood" : policy().hostname;
      child().hostname = Keep(hostname_);
    }
    Enforce(Layer::kTree, Has(Layer::kPid) ? "pid namespace" : "subreaper");
  }

  bool HasQueues() const {
    const std::vector<sock_filter>& filter = platform_->filter.instructions;
    return (platform_->child.namespaces & CLONE_NEWIPC) != 0 &&
           (filter.empty() || AnswersOf(filter.data(), filter.size(), SYS_mq_open).may_allow);
  }

  absl::Status Mounts() {
    if (!Has(Layer::kMount)) return absl::OkStatus();
    BROOD_ASSIGN_OR_RETURN(platform_->mounts, PlanMounts(policy(), names_, untrusted_, machine_.can_map_any_id, HasQueues(), &platform_->texts));
    Enforce(Layer::kMount, absl::StrCat("mount namespace, own root of ", platform_->mounts.size(), " entries, pivot_root"));
    return absl::OkStatus();
  }

  absl::Status Privileges() {
    child().caller_uid = machine_.uid;
    child().caller_gid = machine_.gid;
    child().drop_privileges = policy().drop_privileges;
    child().new_session = policy().drop_privileges;
    child().read_back = policy().read_back && policy().minimal_system;
    child().drop_groups = machine_.can_drop_groups && policy().drop_privileges;
    child().ownerless_base = machine_.ownerless_base;
    child().ownerless_count = machine_.ownerless_count;
    BROOD_RETURN_IF_ERROR(PlanIds(policy(), machine_, &platform_->texts, &child()));
    // Of another caller they are kept as they are, since none can be dropped.
    if (child().drop_groups) platform_->groups = policy().groups;
    std::sort(platform_->groups.begin(), platform_->groups.end());
    if (Has(Layer::kUser)) {
      child().ids = machine_.can_map_any_id ? IdMapping::kOwnerless : IdMapping::kCaller;
      std::string by = machine_.can_map_any_id ? "user namespace, an id that owns nothing outside" : "user namespace, the caller's own id";
      if (child().id_count > 1) absl::StrAppend(&by, "; ", child().id_count, " ids inside", child().uid_mapper != nullptr ? " by newuidmap" : "");
      Enforce(Layer::kUser, std::move(by));
    } else if (policy().drop_privileges && machine_.can_map_any_id) {
      child().switch_ids = true;
      Enforce(Layer::kUser, "an id that owns nothing, without a user namespace");
    }
    if (policy().drop_privileges) {
      // Emptying the bounding set takes CAP_SETPCAP, which a namespace brings along.
      Enforce(Layer::kCapabilities, child().kept_capabilities != 0
                                        ? absl::StrCat("all capability sets empty but for ", absl::StrJoin(policy().capabilities, ", "),
                                                       " in its user namespace")
                                    : Has(Layer::kUser) || machine_.can_empty_bounding_set
                                        ? "all capability sets empty"
                                        : "all capability sets empty but the bounding set, which no_new_privs makes void");
      Enforce(Layer::kNoNewPrivs, "no_new_privs");
    }
    return absl::OkStatus();
  }

  absl::Status Landlock() {
    if (policy().landlock == LandlockUse::kNone || !policy().drop_privileges) return absl::OkStatus();
    const bool own_network = (child().namespaces & CLONE_NEWNET) != 0;
    const bool alone = asked_.namespaces.count(Layer::kMount) != 0 && !Has(Layer::kMount);
    LandlockPlan landlock =
        PlanLandlock(machine_.landlock_abi, policy(), alone || !platform_->mounts.empty(), own_network);
    if (landlock.files != 0 && alone) {
      BROOD_RETURN_IF_ERROR(AllowHostFiles(asked_, &platform_->texts, &landlock));
      Enforce(Layer::kMount,
              "weaker: by Landlock, no mount namespace can be made here: other files cannot be opened, their names and "
              "attributes can be seen; no private /tmp");
    } else if (landlock.files != 0) {
      AllowMounts(platform_->mounts, &platform_->texts, &landlock);
    }
    if (landlock.tcp != 0 && asked_.namespaces.count(Layer::kNet) != 0 && !Has(Layer::kNet)) {
      Enforce(Layer::kNet, "weaker: TCP refused by Landlock, no network namespace can be made here");
    }
    child().landlock_files = landlock.files;
    child().landlock_tcp = landlock.tcp;
    child().landlock_scopes = landlock.scopes;
    platform_->landlock_rules = std::move(landlock.rules);
    if (landlock.missing.empty()) {
      Enforce(Layer::kLandlock, landlock.by_what);
      return absl::OkStatus();
    }
    const std::string why = machine_.landlock_abi > 0
                                ? absl::StrCat("this kernel's Landlock has ABI ", machine_.landlock_abi, ": ", landlock.missing)
                                : "this kernel has no Landlock";
    if (policy().landlock == LandlockUse::kRequired && !Weaker(Layer::kLandlock)) {
      return absl::FailedPreconditionError(
          absl::StrCat("landlock: ", why, "; see brood doctor, or accept the weaker form with --allow-weaker landlock"));
    }
    Enforce(Layer::kLandlock, landlock.by_what.empty() ? absl::StrCat("weaker: absent, ", why)
                                                       : absl::StrCat("weaker: ", landlock.by_what, "; ", landlock.missing));
    return absl::OkStatus();
  }

  absl::Status Speculation() {
    child().filter_allows_speculation = policy().speculation == SpeculationControl::kAllow;
    if (policy().speculation != SpeculationControl::kMitigate) return absl::OkStatus();
    SpeculationPlan speculation = PlanSpeculation(AskSpeculation());
    child().speculation_off = speculation.off;
    if (speculation.missing.empty()) {
      Enforce(Layer::kSpeculation, std::move(speculation.by_what));
      return absl::OkStatus();
    }
    if (!Weaker(Layer::kSpeculation)) {
      return absl::FailedPreconditionError(absl::StrCat("speculation: ", speculation.missing, "; ", kSpeculationRemedy,
                                                        "; or accept the weaker form with --allow-weaker speculation"));
    }
    Enforce(Layer::kSpeculation, speculation.by_what.empty() ? absl::StrCat("weaker: absent; ", speculation.missing)
                                                             : absl::StrCat("weaker: ", speculation.by_what, "; ", speculation.missing));
    return absl::OkStatus();
  }

  absl::Status Label() {
    if (policy().label.empty()) return absl::OkStatus();
    BROOD_RETURN_IF_ERROR(Annotate(ParseLabel(policy().label).status(), "label"));
    platform_->functions_need = "label: a function is not executed, by which a process gets its label; run a program";
    const LabelSupport support = FindLabelSupport();
    if (!support.why.empty() && !Weaker(Layer::kLabel)) {
      return absl::FailedPreconditionError(
          absl::StrCat("label: ", support.why, "; ", support.remedy, "; or accept the weaker form with --allow-weaker label"));
    }
    if (support.module == LabelStep::Module::kNone) {
      Enforce(Layer::kLabel, absl::StrCat("weaker: absent, ", support.why));
      return absl::OkStatus();
    }
    child().label = {.module = support.module, .text = Keep(LabelText(support.module, policy().label)), .any_mode = Weaker(Layer::kLabel)};
    const std::string by = absl::StrCat(support.by_what, ", ", policy().label);
    Enforce(Layer::kLabel, support.why.empty() ? by : absl::StrCat("weaker: ", by, "; ", support.why));
    return absl::OkStatus();
  }

  const char* Keep(const std::string& text) { return platform_->texts.emplace_back(text).c_str(); }

  void Point() {
    child().mounts = platform_->mounts.data();
    child().mount_count = platform_->mounts.size();
    child().filter = platform_->filter.instructions.data();
    child().filter_length = static_cast<uint16_t>(platform_->filter.instructions.size());
    child().filter_notifies = platform_->filter.notifies;
    child().filter_hides_clone3 = AnswerTo(child().filter, child().filter_length, SYS_clone3, {}) == (SECCOMP_RET_ERRNO | ENOSYS) &&
                                  !platform_->further_decide_clone3;
    child().further_filters = platform_->further_filters.data();
    child().further_filter_count = platform_->further_filters.size();
    child().limit_watches = policy().drop_privileges && Has(Layer::kUser) &&
                            (child().filter_length == 0 ||
                             AnswersOf(child().filter, child().filter_length, SYS_inotify_init1).may_allow);
    child().groups = platform_->groups.data();
    child().group_count = platform_->groups.size();
    child().rlimits = platform_->rlimits.data();
    child().rlimit_count = platform_->rlimits.size();
    child().destinations = platform_->destinations.data();
    child().destination_count = platform_->destinations.size();
    child().landlock_rules = platform_->landlock_rules.data();
    child().landlock_rule_count = platform_->landlock_rules.size();
  }

  std::shared_ptr<CompiledPolicy> plan_;
  std::shared_ptr<PlatformPlan> platform_;
  const Machine& machine_;
  const UntrustedDirectories& untrusted_;
  std::string hostname_;
  std::vector<ResolvedName> names_;
  Policy asked_;  // Before what is missing here was left out.
};

absl::StatusOr<std::shared_ptr<const CompiledPolicy>> CompilePolicy(const Policy& policy, const UntrustedDirectories& untrusted) {
  return PlanBuilder(policy, untrusted).Build();
}

}  // namespace brood
