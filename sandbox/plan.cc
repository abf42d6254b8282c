#include "sandbox/plan.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "sandbox/core_rules.h"
#include "sandbox/destination_lookup.h"
#include "sandbox/filter_answers.h"
#include "sandbox/ids.h"
#include "sandbox/label.h"
#include "sandbox/linux_plan.h"
#include "sandbox/machine.h"
#include "sandbox/namespace_probe.h"
#include "sandbox/plan_attributes.h"
#include "sandbox/plan_bpf.h"
#include "sandbox/plan_disk.h"
#include "sandbox/plan_ids.h"
#include "sandbox/plan_label.h"
#include "sandbox/plan_landlock.h"
#include "sandbox/plan_mounts.h"
#include "sandbox/plan_shares.h"
#include "sandbox/plan_speculation.h"

namespace brood {

class PlanBuilder {
 public:
  PlanBuilder(const Policy& policy, const std::vector<std::string>& untrusted)
      : plan_(std::make_shared<CompiledPolicy>()), platform_(std::make_shared<PlatformPlan>()), machine_(ThisMachine()), untrusted_(untrusted) {
    plan_->policy_ = policy;
    plan_->platform_ = platform_;
  }

  absl::StatusOr<std::shared_ptr<const CompiledPolicy>> Build() {
    BROOD_RETURN_IF_ERROR(Check());
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
    BROOD_RETURN_IF_ERROR(LimitsOfTree());
    LimitsOfProcesses();
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

  absl::Status Check() const {
    if (!policy().files.empty() && !Has(Layer::kMount)) {
      return absl::InvalidArgumentError(
          "files: a file rule needs the mount namespace, which the policy does not have; use one that extends default or "
          "strict");
    }
    if (policy().minimal_system && (!Has(Layer::kMount) || !Has(Layer::kPid))) {
      return absl::InvalidArgumentError("minimal_system needs the mount and pid namespaces");
    }
    BROOD_RETURN_IF_ERROR(CheckProc());
    if (policy().read_back && !policy().minimal_system) {
      return absl::InvalidArgumentError("read_back: needs minimal_system, in whose /proc the kernel tells what was set up");
    }
    for (const Limits* limits : {&policy().limits, &policy().default_limits}) {
      if (limits->memory_bytes != uint64_t{0} && limits->processes != uint64_t{0}) continue;
      return absl::InvalidArgumentError("limits: memory and processes must be more than zero: nothing could start");
    }
    // A cgroup takes less for nothing at all, and ends the init before anything can be told of it.
    constexpr uint64_t kLeastMemory = 4096;
    if (policy().limits.memory_bytes.value_or(kLeastMemory) < kLeastMemory) {
      return absl::InvalidArgumentError("limits: memory must be at least 4K, a page: nothing could start");
    }
    for (const Limits* limits : {&policy().limits, &policy().default_limits}) {
      const auto fits = [](const std::optional<uint64_t>& value, uint64_t least, uint64_t most) { return !value || (*value >= least && *value <= most); };
      if (!fits(limits->cpu_weight, 1, kMaxWeight) || !fits(limits->io_weight, 1, kMaxWeight)) {
        return absl::InvalidArgumentError(absl::StrCat("limits: cpu_weight and io_weight are 1 to ", kMaxWeight));
      }
      if (!fits(limits->cpus_milli, 10, kMaxCpusMilli)) return absl::InvalidArgumentError("limits: cpus must be at least 0.01");
      for (const auto& [name, value] : limits->rlimits) {
        if (ResourceOf(name) < 0) return ParseRlimit(absl::StrCat(name, "=", value)).status();
      }
      if (limits->io_rate_bytes == uint64_t{0}) return absl::InvalidArgumentError("limits: io_rate must be more than zero");
      for (const auto& [name, time] : {std::pair("wall_time", limits->wall_time), std::pair("cpu_time", limits->cpu_time), std::pair("grace", limits->grace)}) {
        if (time && *time <= absl::ZeroDuration()) return absl::InvalidArgumentError(absl::StrCat("limits: ", name, " must be more than zero"));
      }
      if (limits->open_files == uint64_t{0}) return absl::InvalidArgumentError("limits: open_files must be more than zero: nothing could start");
    }
    if (policy().network.mode == NetworkMode::kAllow && !policy().filter_syscalls) {
      return absl::InvalidArgumentError(
          "network: a list of destinations needs the system call filter, by which the child's connections come to brood; use a "
          "policy that extends default or strict");
    }
    if (policy().network.mode != NetworkMode::kHost && !Has(Layer::kNet)) {
      return absl::InvalidArgumentError("network: modes other than host need the net namespace; add \"net\" to namespaces, or set {\"mode\": \"host\"}");
    }
    if (!policy().hostname.empty()) {
      BROOD_RETURN_IF_ERROR(Annotate(CheckHostname(policy().hostname), "hostname"));
      if (!Has(Layer::kUts)) return absl::InvalidArgumentError("hostname: needs the uts namespace; add \"uts\" to namespaces");
    }
    if (policy().filter_syscalls && !policy().drop_privileges) {
      return absl::InvalidArgumentError("filter_syscalls needs drop_privileges (no_new_privs). seccomp(2)");
    }
    if (policy().landlock == LandlockUse::kRequired && !policy().drop_privileges) {
      return absl::InvalidArgumentError("landlock: needs drop_privileges (no_new_privs). landlock(7)");
    }
    for (const Layer layer : policy().namespaces) {
      if (layer > Layer::kTime) {
        return absl::InvalidArgumentError(absl::StrCat("namespaces: \"", LayerName(layer), "\" is not one that can be asked for"));
      }
    }
    return CheckClocks();
  }

  absl::Status CheckProc() const {
    if (policy().proc != ProcAccess::kReadWrite) return absl::OkStatus();
    if (!policy().minimal_system) return absl::InvalidArgumentError("proc: of an own /proc, which minimal_system brings; without it there is the machine's");
    // Nothing else keeps a process from taking them back. proc(5), /proc/pid/oom_score_adj, /proc/pid/mem
    if (policy().process.oom_score_adj) return absl::InvalidArgumentError("process: oom_score_adj: a process takes it back by a /proc that can be written; leave out one of the two");
    if (policy().process.deny_write_execute) return absl::InvalidArgumentError("process: deny_write_execute: a /proc that can be written writes to executable memory; leave out one of the two");
    return absl::OkStatus();
  }

  absl::Status CheckClocks() const {
    const Clocks& clocks = policy().clocks;
    if (std::min(clocks.monotonic, clocks.boottime) < absl::ZeroDuration() || std::max(clocks.monotonic, clocks.boottime) > kMaxClock) {
      return absl::InvalidArgumentError("clocks: expected from 0 to 876000h, a hundred years");
    }
    if (Has(Layer::kTime) || std::max(clocks.monotonic, clocks.boottime) == absl::ZeroDuration()) return absl::OkStatus();
    return absl::InvalidArgumentError("clocks: need the time namespace; add \"time\" to namespaces");
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

  // One limit from what was asked for, or else what the built-in brings.
  template <typename T>
  static std::optional<T> Pick(const std::optional<T>& asked, const std::optional<T>& brought) {
    return asked.has_value() ? asked : brought;
  }

  absl::Status Unenforceable(Layer layer, std::string_view why) const {
    return absl::FailedPreconditionError(absl::StrCat("limit ", LayerName(layer), " cannot be enforced here for the whole tree: ",
                                                      why, "; or accept the weaker form with --allow-weaker ", LayerName(layer)));
  }

  bool ChangesIds() const {
    return platform_->child.id_count > 1 && (platform_->child.kept_capabilities & *CapabilityBit("setuid")) != 0;
  }

  absl::Status LimitsOfTree() {
    const Limits& asked = policy().limits;
    const Limits& brought = policy().default_limits;
    Limits& limits = plan_->limits_;
    limits.memory_bytes = Pick(asked.memory_bytes, brought.memory_bytes);
    limits.processes = Pick(asked.processes, brought.processes);
    limits.cpu_time = Pick(asked.cpu_time, brought.cpu_time);
    limits.wall_time = Pick(asked.wall_time, brought.wall_time);
    limits.output_bytes = Pick(asked.output_bytes, brought.output_bytes);
    limits.file_size_bytes = Pick(asked.file_size_bytes, brought.file_size_bytes);
    limits.open_files = Pick(asked.open_files, brought.open_files);
    limits.core_bytes = Pick(asked.core_bytes, brought.core_bytes);
    limits.cpus_milli = Pick(asked.cpus_milli, brought.cpus_milli);
    limits.cpu_weight = Pick(asked.cpu_weight, brought.cpu_weight);
    limits.io_weight = Pick(asked.io_weight, brought.io_weight);
    limits.disk_bytes = Pick(asked.disk_bytes, brought.disk_bytes);
    limits.io_rate_bytes = Pick(asked.io_rate_bytes, brought.io_rate_bytes);
    limits.cpu_set = Pick(asked.cpu_set, brought.cpu_set);
    limits.rlimits = asked.rlimits;
    limits.grace = Pick(asked.grace, brought.grace);
    if (limits.grace && !limits.wall_time) return absl::InvalidArgumentError("limits: grace begins when wall_time is over, and there is none");
    limits.rlimits.insert(brought.rlimits.begin(), brought.rlimits.end());

    const Machine::Cgroups& cgroups = machine_.cgroups;
    const auto unified_has = [&](std::string_view controller) {
      return !cgroups.unified.empty() && std::find(cgroups.unified_controllers.begin(), cgroups.unified_controllers.end(),
                                                   controller) != cgroups.unified_controllers.end();
    };
    if (limits.memory_bytes) {
      const bool possible = (unified_has("memory") || !cgroups.memory.empty()) && (!cgroups.swap_in_use || cgroups.swap_limit);
      if (possible) {
        platform_->cgroups.memory_bytes = limits.memory_bytes;
        Enforce(Layer::kMemory, cgroups.unified.empty() ? "cgroup v1 memory" : "cgroup v2 memory");
      } else if (asked.memory_bytes && !Weaker(Layer::kMemory)) {
        return Unenforceable(Layer::kMemory, cgroups.why_not.empty() ? "this kernel's cgroups do not limit swap" : cgroups.why_not);
      } else {
        platform_->sample_memory = !machine_.hides_processes;
        // Bounds what one process can take between two samples. Not the limit itself: a program that is refused memory
        // ends in its own way, and the outcome would not say that the limit was it.
        constexpr uint64_t kSlackBytes = uint64_t{4} << 30;
        Limit(RLIMIT_DATA, *limits.memory_bytes + (platform_->sample_memory ? kSlackBytes : 0));
        Enforce(Layer::kMemory, platform_->sample_memory
                                    ? "weaker: sampling of the tree, and RLIMIT_DATA of each process"
                                    : "weaker: RLIMIT_DATA of each process; /proc hides the tree from sampling (hidepid)");
      }
    }
    if (limits.processes) {
      // No machine has more, and a group refuses such a number: with the init, PID_MAX_LIMIT of the kernel.
      constexpr uint64_t kMostProcesses = (uint64_t{1} << 22) - 1;
      limits.processes = std::min(*limits.processes, kMostProcesses);
      if (unified_has("pids") || !cgroups.pids.empty()) {
        platform_->cgroups.processes = limits.processes;
        Enforce(Layer::kProcesses, cgroups.unified.empty() ? "cgroup v1 pids" : "cgroup v2 pids");
      } else if (Has(Layer::kUser) && !ChangesIds()) {
        // Counted for each user namespace, and this one is the tree's own; init is one of them. Since Linux 5.14.
        Limit(RLIMIT_NPROC, *limits.processes + 1);
        platform_->count_processes = !machine_.hides_processes;
        Enforce(Layer::kProcesses, "RLIMIT_NPROC of the own user namespace");
      } else if (asked.processes && !Weaker(Layer::kProcesses)) {
        return Unenforceable(Layer::kProcesses, cgroups.why_not);
      } else if (ChangesIds()) {
        Limit(RLIMIT_NPROC, *limits.processes + 1);
        Enforce(Layer::kProcesses, "weaker: RLIMIT_NPROC, which counts for each of the ids that the program can take");
      } else {
        Limit(RLIMIT_NPROC, *limits.processes + 1);
        Enforce(Layer::kProcesses, "weaker: RLIMIT_NPROC, which counts all processes of the user");
      }
    }
    if (limits.cpu_time) {
      // cpu.stat of version 2 is there without the cpu controller.
      platform_->cgroups.count_cpu = !cgroups.unified.empty() || !cgroups.cpuacct.empty();
      Limit(RLIMIT_CPU, static_cast<uint64_t>(absl::ToInt64Seconds(absl::Ceil(*limits.cpu_time, absl::Seconds(1)))) + 1);
      if (platform_->cgroups.count_cpu) {
        Enforce(Layer::kCpuTime, "cgroup accounting and RLIMIT_CPU");
      } else if (asked.cpu_time && !Weaker(Layer::kCpuTime)) {
        // The kernel forgets what a process used whose parent ignores SIGCHLD. wait(2), "NOTES".
        return Unenforceable(Layer::kCpuTime, cgroups.why_not);
      } else {
        Enforce(Layer::kCpuTime, machine_.hides_processes
                                     ? "weaker: RLIMIT_CPU of each process; /proc hides the tree from being counted (hidepid)"
                                     : "weaker: RLIMIT_CPU of each process, and /proc, which forgets children that nobody waited for");
      }
    }
    if (limits.disk_bytes) BROOD_RETURN_IF_ERROR(LimitDisk(*limits.disk_bytes, asked.disk_bytes.has_value()));
    if (limits.cpus_milli || limits.cpu_weight || limits.cpu_set) {
      SharePlan share;
      if (limits.cpus_milli || limits.cpu_weight) share = PlanCpu(limits, cgroups, &platform_->cgroups);
      if (limits.cpu_set) {
        BROOD_RETURN_IF_ERROR(TakeCpus(*limits.cpu_set));
        share = Join(share, PlanCpuSet(*limits.cpu_set, cgroups, !platform_->filter.instructions.empty(), &platform_->cgroups));
      }
      BROOD_RETURN_IF_ERROR(TakeShare(Layer::kCpu, asked.cpus_milli || asked.cpu_weight || asked.cpu_set, share));
    }
    if (limits.io_weight || limits.io_rate_bytes) {
      BROOD_RETURN_IF_ERROR(TakeShare(Layer::kIo, asked.io_weight || asked.io_rate_bytes, PlanIo(limits, cgroups, &platform_->cgroups)));
    }
    platform_->cgroups.read_back = child().read_back;
    platform_->needs_cgroups = NeedsCgroups(platform_->cgroups);
    if (limits.wall_time) {
      Enforce(Layer::kWallTime, limits.grace ? absl::StrCat("guardian, CLOCK_MONOTONIC; SIGTERM, and ", absl::FormatDuration(*limits.grace), " until the tree is killed")
                                             : "guardian, CLOCK_MONOTONIC");
    }
    if (limits.output_bytes) Enforce(Layer::kOutput, "guardian, between child and sink");
    if (!Has(Layer::kPid) && !machine_.has_proc_children) {
      return absl::FailedPreconditionError(
          "without a pid namespace the tree is ended by /proc/PID/task/TID/children, which this kernel lacks; use a policy "
          "with the pid namespace");
    }
    return absl::OkStatus();
  }

  absl::Status LimitDisk(uint64_t bytes, bool asked) {
    BROOD_ASSIGN_OR_RETURN(const DiskPlan disk, DivideDisk(bytes, &platform_->mounts, &platform_->texts));
    const std::string by = absl::StrCat(disk.in_memory, " bytes in memory");
    if (Has(Layer::kMount) && disk.unlimited.empty()) {
      Enforce(Layer::kDisk, absl::StrCat(by, ", and nothing else can be written"));
      return absl::OkStatus();
    }
    const std::string why = Has(Layer::kMount) ? absl::StrCat(disk.unlimited, " is writable on the host; show it by --overlay, or take files out by --copy-out")
                                               : "there is no mount namespace, so that all of the host may be written";
    if (asked && !Weaker(Layer::kDisk)) return Unenforceable(Layer::kDisk, why);
    if (!plan_->limits_.file_size_bytes || *plan_->limits_.file_size_bytes > bytes) plan_->limits_.file_size_bytes = bytes;
    Enforce(Layer::kDisk, absl::StrCat("weaker: ", by, ", and RLIMIT_FSIZE of each file elsewhere"));
    return absl::OkStatus();
  }

  // The machine's CPUs, or those of them that this process was given: more than these no child of it can have.
  absl::Status TakeCpus(const CpuSet& cpus) {
    ChildPlan& plan = child();
    uint64_t own[ChildPlan::kCpuWords] = {};
    if (syscall(SYS_sched_getaffinity, 0, sizeof(own), own) < 0) return ErrnoStatus(errno, "sched_getaffinity");
    CpuSet usable;
    for (size_t cpu = 0; cpu < usable.size(); ++cpu) usable.set(cpu, (own[cpu / 64] >> cpu % 64 & 1) != 0);
    if (cpus.none()) return absl::InvalidArgumentError("limits: cpu_set: no CPU at all; nothing could run");
    if ((cpus & ~usable).any()) {
      return absl::InvalidArgumentError(absl::StrCat("limits: cpu_set: CPU ", CpuSetText(cpus & ~usable), " is none that can be used here; there are ", CpuSetText(usable)));
    }
    plan.limits_cpus = true;
    for (size_t cpu = 0; cpu < cpus.size(); ++cpu) plan.cpus[cpu / 64] |= uint64_t{cpus.test(cpu)} << cpu % 64;
    return absl::OkStatus();
  }

  absl::Status TakeShare(Layer layer, bool asked, const SharePlan& plan) {
    if (plan.missing.empty()) {
      Enforce(layer, plan.by_what);
      return absl::OkStatus();
    }
    if (asked && !Weaker(layer)) return Unenforceable(layer, plan.missing);
    Enforce(layer, plan.by_what.empty() ? absl::StrCat("weaker: absent, ", plan.missing) : absl::StrCat("weaker: ", plan.by_what, "; ", plan.missing));
    return absl::OkStatus();
  }

  void LimitsOfProcesses() {
    const Limits& limits = plan_->limits_;
    if (limits.file_size_bytes) {
      Limit(RLIMIT_FSIZE, *limits.file_size_bytes);
      Enforce(Layer::kFileSize, "RLIMIT_FSIZE");
    }
    if (limits.open_files) {
      Limit(RLIMIT_NOFILE, *limits.open_files);
      Enforce(Layer::kOpenFiles, "RLIMIT_NOFILE");
    }
    if (const std::optional<uint64_t> core = CoreLimit(policy(), limits.core_bytes)) Limit(RLIMIT_CORE, *core);
    if (policy().drop_privileges) LimitQuotas();
    std::vector<std::string> texts;
    for (const auto& [name, value] : limits.rlimits) {
      Limit(ResourceOf(name), value);
      texts.push_back(absl::StrCat(name, " ", value));
    }
    if (!texts.empty()) Enforce(Layer::kRlimits, absl::StrCat("setrlimit: ", absl::StrJoin(texts, ", ")));
  }

  static int ResourceOf(std::string_view name) {
    constexpr std::pair<std::string_view, int> kResources[] = {
        {"as", RLIMIT_AS},             {"data", RLIMIT_DATA},         {"stack", RLIMIT_STACK},
        {"memlock", RLIMIT_MEMLOCK},   {"sigpending", RLIMIT_SIGPENDING}, {"msgqueue", RLIMIT_MSGQUEUE},
        {"nice", RLIMIT_NICE},         {"rtprio", RLIMIT_RTPRIO},     {"rttime", RLIMIT_RTTIME}};
    for (const auto& [known, resource] : kResources) {
      if (known == name) return resource;
    }
    return -1;
  }

  // What the kernel counts for each user, up through the user namespaces to the caller: what a child holds, others of the
  // caller's processes cannot have. getrlimit(2), ucounts.
  void LimitQuotas() {
    Limit(RLIMIT_SIGPENDING, 1024);  // Signals that wait, and timers. Linux gives some thousands.
    Limit(RLIMIT_MSGQUEUE, 400 << 10);  // Half of what Linux gives: four queues as they are by default.
  }

  // Never above the hard limit that the caller has itself, which counts all the same.
  void Limit(int resource, uint64_t value) {
    rlimit now{};
    getrlimit(static_cast<__rlimit_resource>(resource), &now);
    rlim_t limit = std::min<rlim_t>(value, now.rlim_max);
    for (RlimitStep& step : platform_->rlimits) {
      if (step.resource != resource) continue;
      step.limit.rlim_cur = step.limit.rlim_max = std::min(step.limit.rlim_max, limit);
      return;
    }
    platform_->rlimits.push_back({resource, {limit, limit}});
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
  const std::vector<std::string>& untrusted_;
  std::string hostname_;
  std::vector<ResolvedName> names_;
  Policy asked_;  // Before what is missing here was left out.
};

absl::StatusOr<std::shared_ptr<const CompiledPolicy>> CompilePolicy(const Policy& policy, const std::vector<std::string>& untrusted) {
  return PlanBuilder(policy, untrusted).Build();
}

}  // namespace brood
