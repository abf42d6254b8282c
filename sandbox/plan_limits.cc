#include "sandbox/plan_limits.h"

#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "sandbox/core_rules.h"
#include "sandbox/ids.h"
#include "sandbox/plan_disk.h"
#include "sandbox/plan_shares.h"

namespace brood {
namespace {

class LimitPlanner {
 public:
  LimitPlanner(const Policy& policy, const Machine& machine, PlatformPlan* platform, Limits* limits, std::map<Layer, std::string>* enforced)
      : policy_(policy), machine_(machine), platform_(*platform), limits_(*limits), enforced_(*enforced) {}

  absl::Status OfTree() {
    BROOD_RETURN_IF_ERROR(Merge());
    BROOD_RETURN_IF_ERROR(LimitMemory());
    BROOD_RETURN_IF_ERROR(LimitProcesses());
    BROOD_RETURN_IF_ERROR(LimitCpuTime());
    if (limits_.disk_bytes) BROOD_RETURN_IF_ERROR(LimitDisk(*limits_.disk_bytes, policy_.limits.disk_bytes.has_value()));
    BROOD_RETURN_IF_ERROR(LimitShares());
    platform_.cgroups.read_back = platform_.child.read_back;
    platform_.needs_cgroups = NeedsCgroups(platform_.cgroups);
    if (limits_.wall_time) {
      Enforce(Layer::kWallTime, limits_.grace ? absl::StrCat("guardian, CLOCK_MONOTONIC; SIGTERM, and ", absl::FormatDuration(*limits_.grace), " until the tree is killed")
                                             : "guardian, CLOCK_MONOTONIC");
    }
    if (limits_.output_bytes) Enforce(Layer::kOutput, "guardian, between child and sink");
    if (!Has(Layer::kPid) && !machine_.has_proc_children) {
      return absl::FailedPreconditionError(
          "without a pid namespace the tree is ended by /proc/PID/task/TID/children, which this kernel lacks; use a policy "
          "with the pid namespace");
    }
    return absl::OkStatus();
  }

  void OfProcesses() {
    if (limits_.file_size_bytes) {
      Limit(RLIMIT_FSIZE, *limits_.file_size_bytes);
      Enforce(Layer::kFileSize, "RLIMIT_FSIZE");
    }
    if (limits_.open_files) {
      Limit(RLIMIT_NOFILE, *limits_.open_files);
      Enforce(Layer::kOpenFiles, "RLIMIT_NOFILE");
    }
    if (const std::optional<uint64_t> core = CoreLimit(policy_, limits_.core_bytes)) Limit(RLIMIT_CORE, *core);
    if (policy_.drop_privileges) LimitQuotas();
    std::vector<std::string> texts;
    for (const auto& [name, value] : limits_.rlimits) {
      Limit(ResourceOf(name), value);
      texts.push_back(absl::StrCat(name, " ", value));
    }
    if (!texts.empty()) Enforce(Layer::kRlimits, absl::StrCat("setrlimit: ", absl::StrJoin(texts, ", ")));
  }

 private:
  bool Has(Layer layer) const { return policy_.namespaces.count(layer) != 0; }
  bool Weaker(Layer layer) const { return policy_.allow_weaker.count(layer) != 0; }
  void Enforce(Layer layer, std::string by) { enforced_[layer] = std::move(by); }

  template <typename T>
  static std::optional<T> Pick(const std::optional<T>& asked, const std::optional<T>& brought) {
    return asked.has_value() ? asked : brought;
  }

  // What was asked for, or else what the built-in brings.
  absl::Status Merge() {
    const Limits& asked = policy_.limits;
    const Limits& brought = policy_.default_limits;
    limits_.memory_bytes = Pick(asked.memory_bytes, brought.memory_bytes);
    limits_.processes = Pick(asked.processes, brought.processes);
    limits_.cpu_time = Pick(asked.cpu_time, brought.cpu_time);
    limits_.wall_time = Pick(asked.wall_time, brought.wall_time);
    limits_.output_bytes = Pick(asked.output_bytes, brought.output_bytes);
    limits_.file_size_bytes = Pick(asked.file_size_bytes, brought.file_size_bytes);
    limits_.open_files = Pick(asked.open_files, brought.open_files);
    limits_.core_bytes = Pick(asked.core_bytes, brought.core_bytes);
    limits_.cpus_milli = Pick(asked.cpus_milli, brought.cpus_milli);
    limits_.cpu_weight = Pick(asked.cpu_weight, brought.cpu_weight);
    limits_.io_weight = Pick(asked.io_weight, brought.io_weight);
    limits_.disk_bytes = Pick(asked.disk_bytes, brought.disk_bytes);
    limits_.io_rate_bytes = Pick(asked.io_rate_bytes, brought.io_rate_bytes);
    limits_.cpu_set = Pick(asked.cpu_set, brought.cpu_set);
    limits_.rlimits = asked.rlimits;
    limits_.grace = Pick(asked.grace, brought.grace);
    if (limits_.grace && !limits_.wall_time) return absl::InvalidArgumentError("limits: grace begins when wall_time is over, and there is none");
    limits_.rlimits.insert(brought.rlimits.begin(), brought.rlimits.end());
    return absl::OkStatus();
  }

  absl::Status Unenforceable(Layer layer, std::string_view why) const {
    return absl::FailedPreconditionError(absl::StrCat("limit ", LayerName(layer), " cannot be enforced here for the whole tree: ",
                                                      why, "; or accept the weaker form with --allow-weaker ", LayerName(layer)));
  }

  bool ChangesIds() const {
    return platform_.child.id_count > 1 && (platform_.child.kept_capabilities & *CapabilityBit("setuid")) != 0;
  }

  bool UnifiedHas(std::string_view controller) const {
    const Machine::Cgroups& cgroups = machine_.cgroups;
    const std::vector<std::string>& own = cgroups.unified_controllers;
    return !cgroups.unified.empty() && std::find(own.begin(), own.end(), controller) != own.end();
  }

  absl::Status LimitMemory() {
    if (!limits_.memory_bytes) return absl::OkStatus();
    const Machine::Cgroups& cgroups = machine_.cgroups;
    const bool possible = (UnifiedHas("memory") || !cgroups.memory.empty()) && (!cgroups.swap_in_use || cgroups.swap_limit);
    if (possible) {
      platform_.cgroups.memory_bytes = limits_.memory_bytes;
      Enforce(Layer::kMemory, cgroups.unified.empty() ? "cgroup v1 memory" : "cgroup v2 memory");
    } else if (policy_.limits.memory_bytes && !Weaker(Layer::kMemory)) {
      return Unenforceable(Layer::kMemory, cgroups.why_not.empty() ? "this kernel's cgroups do not limit swap" : cgroups.why_not);
    } else {
      platform_.sample_memory = !machine_.hides_processes;
      // Bounds what one process can take between two samples. Not the limit itself: a program that is refused memory
      // ends in its own way, and the outcome would not say that the limit was it.
      constexpr uint64_t kSlackBytes = uint64_t{4} << 30;
      Limit(RLIMIT_DATA, *limits_.memory_bytes + (platform_.sample_memory ? kSlackBytes : 0));
      Enforce(Layer::kMemory, platform_.sample_memory
                                  ? "weaker: sampling of the tree, and RLIMIT_DATA of each process"
                                  : "weaker: RLIMIT_DATA of each process; /proc hides the tree from sampling (hidepid)");
    }
    return absl::OkStatus();
  }

  absl::Status LimitProcesses() {
    if (!limits_.processes) return absl::OkStatus();
    const Machine::Cgroups& cgroups = machine_.cgroups;
    // No machine has more, and a group refuses such a number: with the init, PID_MAX_LIMIT of the kernel.
    constexpr uint64_t kMostProcesses = (uint64_t{1} << 22) - 1;
    limits_.processes = std::min(*limits_.processes, kMostProcesses);
    if (UnifiedHas("pids") || !cgroups.pids.empty()) {
      platform_.cgroups.processes = limits_.processes;
      Enforce(Layer::kProcesses, cgroups.unified.empty() ? "cgroup v1 pids" : "cgroup v2 pids");
    } else if (Has(Layer::kUser) && !ChangesIds()) {
      // Counted for each user namespace, and this one is the tree's own; init is one of them. Since Linux 5.14.
      Limit(RLIMIT_NPROC, *limits_.processes + 1);
      platform_.count_processes = !machine_.hides_processes;
      Enforce(Layer::kProcesses, "RLIMIT_NPROC of the own user namespace");
    } else if (policy_.limits.processes && !Weaker(Layer::kProcesses)) {
      return Unenforceable(Layer::kProcesses, cgroups.why_not);
    } else if (ChangesIds()) {
      Limit(RLIMIT_NPROC, *limits_.processes + 1);
      Enforce(Layer::kProcesses, "weaker: RLIMIT_NPROC, which counts for each of the ids that the program can take");
    } else {
      Limit(RLIMIT_NPROC, *limits_.processes + 1);
      Enforce(Layer::kProcesses, "weaker: RLIMIT_NPROC, which counts all processes of the user");
    }
    return absl::OkStatus();
  }

  absl::Status LimitCpuTime() {
    if (!limits_.cpu_time) return absl::OkStatus();
    const Machine::Cgroups& cgroups = machine_.cgroups;
    // cpu.stat of version 2 is there without the cpu controller.
    platform_.cgroups.count_cpu = !cgroups.unified.empty() || !cgroups.cpuacct.empty();
    Limit(RLIMIT_CPU, static_cast<uint64_t>(absl::ToInt64Seconds(absl::Ceil(*limits_.cpu_time, absl::Seconds(1)))) + 1);
    if (platform_.cgroups.count_cpu) {
      Enforce(Layer::kCpuTime, "cgroup accounting and RLIMIT_CPU");
    } else if (policy_.limits.cpu_time && !Weaker(Layer::kCpuTime)) {
      // The kernel forgets what a process used whose parent ignores SIGCHLD. wait(2), "NOTES".
      return Unenforceable(Layer::kCpuTime, cgroups.why_not);
    } else {
      Enforce(Layer::kCpuTime, machine_.hides_processes
                                   ? "weaker: RLIMIT_CPU of each process; /proc hides the tree from being counted (hidepid)"
                                   : "weaker: RLIMIT_CPU of each process, and /proc, which forgets children that nobody waited for");
    }
    return absl::OkStatus();
  }

  absl::Status LimitShares() {
    const Limits& asked = policy_.limits;
    const Machine::Cgroups& cgroups = machine_.cgroups;
    if (limits_.cpus_milli || limits_.cpu_weight || limits_.cpu_set) {
      SharePlan share;
      if (limits_.cpus_milli || limits_.cpu_weight) share = PlanCpu(limits_, cgroups, &platform_.cgroups);
      if (limits_.cpu_set) {
        BROOD_RETURN_IF_ERROR(TakeCpus(*limits_.cpu_set));
        share = Join(share, PlanCpuSet(*limits_.cpu_set, cgroups, !platform_.filter.instructions.empty(), &platform_.cgroups));
      }
      BROOD_RETURN_IF_ERROR(TakeShare(Layer::kCpu, asked.cpus_milli || asked.cpu_weight || asked.cpu_set, share));
    }
    if (limits_.io_weight || limits_.io_rate_bytes) {
      BROOD_RETURN_IF_ERROR(TakeShare(Layer::kIo, asked.io_weight || asked.io_rate_bytes, PlanIo(limits_, cgroups, &platform_.cgroups)));
    }
    return absl::OkStatus();
  }

  absl::Status LimitDisk(uint64_t bytes, bool asked) {
    BROOD_ASSIGN_OR_RETURN(const DiskPlan disk, DivideDisk(bytes, &platform_.mounts, &platform_.texts));
    const std::string by = absl::StrCat(disk.in_memory, " bytes in memory");
    if (Has(Layer::kMount) && disk.unlimited.empty()) {
      Enforce(Layer::kDisk, absl::StrCat(by, ", and nothing else can be written"));
      return absl::OkStatus();
    }
    const std::string why = Has(Layer::kMount) ? absl::StrCat(disk.unlimited, " is writable on the host; show it by --overlay, or take files out by --copy-out")
                                               : "there is no mount namespace, so that all of the host may be written";
    if (asked && !Weaker(Layer::kDisk)) return Unenforceable(Layer::kDisk, why);
    if (!limits_.file_size_bytes || *limits_.file_size_bytes > bytes) limits_.file_size_bytes = bytes;
    Enforce(Layer::kDisk, absl::StrCat("weaker: ", by, ", and RLIMIT_FSIZE of each file elsewhere"));
    return absl::OkStatus();
  }

  // The machine's CPUs, or those of them that this process was given: more than these no child of it can have.
  absl::Status TakeCpus(const CpuSet& cpus) {
    ChildPlan& plan = platform_.child;
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
    for (RlimitStep& step : platform_.rlimits) {
      if (step.resource != resource) continue;
      step.limit.rlim_cur = step.limit.rlim_max = std::min(step.limit.rlim_max, limit);
      return;
    }
    platform_.rlimits.push_back({resource, {limit, limit}});
  }

  const Policy& policy_;
  const Machine& machine_;
  PlatformPlan& platform_;
  Limits& limits_;
  std::map<Layer, std::string>& enforced_;
};

}  // namespace

int ResourceOf(std::string_view name) {
  constexpr std::pair<std::string_view, int> kResources[] = {
      {"as", RLIMIT_AS},             {"data", RLIMIT_DATA},         {"stack", RLIMIT_STACK},
      {"memlock", RLIMIT_MEMLOCK},   {"sigpending", RLIMIT_SIGPENDING}, {"msgqueue", RLIMIT_MSGQUEUE},
      {"nice", RLIMIT_NICE},         {"rtprio", RLIMIT_RTPRIO},     {"rttime", RLIMIT_RTTIME}};
  for (const auto& [known, resource] : kResources) {
    if (known == name) return resource;
  }
  return -1;
}

absl::Status PlanLimits(const Policy& policy, const Machine& machine, PlatformPlan* platform, Limits* limits,
                        std::map<Layer, std::string>* enforced) {
  LimitPlanner planner(policy, machine, platform, limits, enforced);
  BROOD_RETURN_IF_ERROR(planner.OfTree());
  planner.OfProcesses();
  return absl::OkStatus();
}

}  // namespace brood
