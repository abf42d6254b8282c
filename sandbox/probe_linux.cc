#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "sandbox/advice.h"
#include "sandbox/cgroup_search.h"
#include "sandbox/landlock_abi.h"
#include "sandbox/machine.h"
#include "sandbox/namespace_probe.h"
#include "sandbox/plan_label.h"
#include "sandbox/plan_landlock.h"
#include "sandbox/plan_speculation.h"
#include "sandbox/probe.h"
#include "sandbox/sub_ids.h"

namespace brood {
namespace {

using Verdict = LayerReport::Verdict;

int NewPrivileges() { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : errno; }

int SeccompListener() {
  unsigned action = SECCOMP_RET_USER_NOTIF;
  return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0 ? 0 : errno;
}

class Doctor {
 public:
  Doctor() : machine_(ThisMachine()), user_error_(TryUserNamespace()) {}

  LayerReport Report(Layer layer) const {
    switch (layer) {
      case Layer::kUser:
        if (user_error_ != 0) return No(layer, UserNamespaceAdvice(user_error_));
        return Yes(layer, absl::StrCat(machine_.can_map_any_id ? "user namespace, an id that owns nothing outside; "
                                                               : "user namespace, the caller's own id; ", FurtherIds()));
      case Layer::kPid:
        return Namespace(layer, CLONE_NEWPID, "pid namespace");
      case Layer::kMount: {
        if (user_error_ == ENOENT) return No(layer, UserNamespaceAdvice(user_error_));  // It takes a /proc as well.
        const int error = TryInNamespaces(Flags(CLONE_NEWNS | CLONE_NEWPID), TryNewProc);
        if (error == 0) {
          const int overlay = TryInNamespaces(Flags(CLONE_NEWNS), TryOverlay);
          return Yes(layer, overlay == 0 ? "mount namespace, pivot_root, own procfs, overlays"
                                         : absl::StrCat("mount namespace, pivot_root, own procfs, no overlays (", ErrnoText(overlay),
                                                        "; Linux 5.11 with CONFIG_OVERLAY_FS has them)"));
        }
        if (user_error_ != 0) return No(layer, UserNamespaceAdvice(user_error_));
        const int bare = TryInNamespaces(Flags(CLONE_NEWNS | CLONE_NEWPID), nullptr);
        return No(layer, bare != 0 ? NamespaceAdvice(layer, bare) : NewProcAdvice(error));
      }
      case Layer::kNet:
        return Namespace(layer, CLONE_NEWNET, "network namespace");
      case Layer::kIpc:
        return Namespace(layer, CLONE_NEWIPC, "ipc namespace");
      case Layer::kUts:
        return Namespace(layer, CLONE_NEWUTS, "uts namespace");
      case Layer::kCgroup:
        return Namespace(layer, CLONE_NEWCGROUP, "cgroup namespace");
      case Layer::kTime:
        // Nobody who can make no other makes one of these, and to ask by unshare(2) may be a violation, as inside of `default`.
        if (TryInNamespaces(Flags(CLONE_NEWUTS), nullptr) == EPERM) return No(layer, user_error_ != 0 ? UserNamespaceAdvice(user_error_) : NamespaceAdvice(layer, EPERM));
        return Namespace(layer, 0, "time namespace, own CLOCK_MONOTONIC and CLOCK_BOOTTIME", TryTimeNamespace);
      case Layer::kLandlock: {
        return Landlock();
      }
      case Layer::kSpeculation: {
        const SpeculationPlan plan = PlanSpeculation(AskSpeculation());
        const Advice advice = {plan.missing, kSpeculationRemedy};
        if (plan.missing.empty()) return Yes(layer, plan.by_what);
        return plan.by_what.empty() ? No(layer, advice) : Weaker(layer, plan.by_what, advice);
      }
      case Layer::kLabel: {
        const LabelSupport support = FindLabelSupport();
        if (support.why.empty()) return Yes(layer, absl::StrCat(support.by_what, ", of programs"));
        const Advice advice = {support.why, support.remedy};
        return support.by_what.empty() ? No(layer, advice) : Weaker(layer, support.by_what, advice);
      }
      case Layer::kCapabilities:
        if (user_error_ == 0 || machine_.can_empty_bounding_set) return Yes(layer, "capset, bounding and ambient sets");
        return Yes(layer, "capset and ambient set; no_new_privs makes the bounding set void");
      case Layer::kNoNewPrivs: {
        const int error = TryInNamespaces(0, NewPrivileges);
        return error == 0 ? Yes(layer, "prctl")
                          : No(layer, {absl::StrCat("the kernel answers ", ErrnoText(error)), "a filter around brood refuses prctl: run brood outside"});
      }
      case Layer::kSeccomp: {
        const int error = SeccompListener();
        return error == 0 ? Yes(layer, "seccomp filter, violations by user notification")
                          : No(layer, {absl::StrCat("no user notification: ", ErrnoText(error)),
                                       "Linux 5.0 with CONFIG_SECCOMP_FILTER; or a filter around brood refuses seccomp: run brood outside"});
      }
      case Layer::kTree:
        if (Namespace(Layer::kPid, CLONE_NEWPID, "").verdict == Verdict::kFull) return Yes(layer, "pid namespace; else subreaper");
        return machine_.has_proc_children ? Yes(layer, "subreaper") : No(layer, {"no pid namespace, and no /proc/PID/task/TID/children", "a kernel with CONFIG_PROC_CHILDREN, or what `pid` needs"});
      case Layer::kMemory:
        return Memory();
      case Layer::kProcesses:
        if (HasUnified("pids")) return Yes(layer, absl::StrCat("cgroup v2 pids in ", machine_.cgroups.unified));
        if (!machine_.cgroups.pids.empty()) return Yes(layer, absl::StrCat("cgroup v1 pids in ", machine_.cgroups.pids));
        if (user_error_ == 0) return Yes(layer, "RLIMIT_NPROC of the own user namespace");
        return Weaker(layer, "RLIMIT_NPROC, which counts all processes of the user", CgroupAdvice());
      case Layer::kCpuTime:
        if (!machine_.cgroups.unified.empty()) return Yes(layer, "cgroup v2 cpu.stat and RLIMIT_CPU");
        if (!machine_.cgroups.cpuacct.empty()) return Yes(layer, "cgroup v1 cpuacct and RLIMIT_CPU");
        return Weaker(layer,
                      machine_.hides_processes ? "RLIMIT_CPU of each process; /proc hides the tree from being counted (mounted with hidepid)"
                                               : "RLIMIT_CPU of each process, and /proc, which forgets children that nobody waited for",
                      CgroupAdvice());
      case Layer::kWallTime:
        return Yes(layer, "guardian, CLOCK_MONOTONIC");
      case Layer::kOutput:
        return Yes(layer, "guardian, between child and sink");
      case Layer::kFileSize:
        return Yes(layer, "RLIMIT_FSIZE");
      case Layer::kOpenFiles:
        return Yes(layer, "RLIMIT_NOFILE");
      case Layer::kRlimits:
        return Yes(layer, "setrlimit, for each process");
      case Layer::kCpu:
        if (CanHaveUnified("cpu")) return Yes(layer, absl::StrCat("cgroup v2 cpu in ", machine_.cgroups.unified));
        if (machine_.cgroups.unified.empty() && !machine_.cgroups.cpu.empty()) return Yes(layer, absl::StrCat("cgroup v1 cpu in ", machine_.cgroups.cpu));
        return No(layer, CgroupAdvice("cpu"));
      case Layer::kIo:
        return Io();
      case Layer::kDisk: {
        const LayerReport mount = Report(Layer::kMount);
        if (mount.verdict == Verdict::kFull) return Yes(layer, "sizes of what is in memory; a directory of the host that is writable has no such limit");
        return Weaker(layer, "RLIMIT_FSIZE, of each file", {mount.why, mount.remedy});
      }
    }
    return No(layer, {"unknown layer", "none"});
  }

 private:
  static LayerReport Yes(Layer layer, std::string by) { return {layer, Verdict::kFull, std::move(by), "", ""}; }
  static LayerReport No(Layer layer, Advice advice) { return {layer, Verdict::kUnavailable, "", advice.why, advice.remedy}; }
  static LayerReport Weaker(Layer layer, std::string by, Advice advice) {
    return {layer, Verdict::kWeaker, std::move(by), advice.why, advice.remedy};
  }

  // A policy makes all namespaces together with the user namespace.
  uint64_t Flags(uint64_t flags) const { return user_error_ == 0 ? flags | CLONE_NEWUSER : flags; }

  // What `ids` of a policy can have besides the program's own.
  std::string FurtherIds() const {
    if (machine_.can_map_any_id) return machine_.ranges_count > 0 ? absl::StrCat(kMaxIds, " ids inside if asked for") : "no further ids inside";
    const SubIds ids = FindSubIds(machine_.uid);
    if (ids.count > 0) return absl::StrCat(ids.count + 1, " ids inside if asked for, by newuidmap");
    return absl::StrCat("no further ids inside (", ids.why, "; ", ids.remedy, ")");
  }

  LayerReport Namespace(Layer layer, uint64_t flag, const char* by, int (*step)() = nullptr) const {
    const int error = TryInNamespaces(Flags(flag), step);
    if (error == 0) return Yes(layer, by);
    // Without a user namespace the others take rights that not every caller has.
    return No(layer, user_error_ != 0 && error == EPERM ? UserNamespaceAdvice(user_error_) : NamespaceAdvice(layer, error));
  }

  bool HasUnified(std::string_view controller) const {
    const auto& names = machine_.cgroups.unified_controllers;
    return !machine_.cgroups.unified.empty() && std::find(names.begin(), names.end(), controller) != names.end();
  }

  bool CanHaveUnified(std::string_view controller) const {
    const auto& names = machine_.cgroups.unified_available;
    return !machine_.cgroups.unified.empty() && std::find(names.begin(), names.end(), controller) != names.end();
  }

  LayerReport Io() const {
    const Machine::Cgroups& cgroups = machine_.cgroups;
    const bool version2 = CanHaveUnified("io");
    if (!version2 && (!cgroups.unified.empty() || cgroups.blkio.empty())) return No(Layer::kIo, CgroupAdvice("blkio"));
    const std::string weight = FindIoWeight(cgroups).name;
    const std::string by = absl::StrCat(version2 ? "cgroup v2 io in " : "cgroup v1 blkio in ", version2 ? cgroups.unified : cgroups.blkio,
                                        weight.empty() ? "" : ", weights too");
    if (!version2) {
      return Weaker(Layer::kIo, by, {absl::StrCat("version 1 holds back reads and direct writes only", weight.empty() ? ", and the kernel has no weights for it" : ""),
                                     "boot with systemd.unified_cgroup_hierarchy=1, for version 2"});
    }
    if (!weight.empty()) return Yes(Layer::kIo, by);
    return Weaker(Layer::kIo, by, {"the kernel has no weights for disks", "modprobe bfq, and echo bfq > /sys/block/DISK/queue/scheduler"});
  }

  LayerReport Landlock() const {
    const int abi = machine_.landlock_abi;
    if (abi == 0) {
      const long asked = syscall(SYS_landlock_create_ruleset, nullptr, 0, kLandlockVersion);
      return No(Layer::kLandlock, LandlockAdvice(asked < 0 ? errno : 0));
    }
    Policy all;
    all.network.mode = NetworkMode::kNone;
    const LandlockPlan plan = PlanLandlock(abi, all, true, true);
    if (plan.missing.empty()) return Yes(Layer::kLandlock, plan.by_what);
    return Weaker(Layer::kLandlock, plan.by_what, {absl::StrCat("this kernel has ABI ", abi, ": ", plan.missing), "Linux 6.12 or later"});
  }

  LayerReport Memory() const {
    const Machine::Cgroups& cgroups = machine_.cgroups;
    const char* weaker = machine_.hides_processes ? "RLIMIT_DATA of each process; /proc hides the tree from sampling (mounted with hidepid)"
                                                  : "RLIMIT_DATA of each process, and sampling of the tree";
    if (!HasUnified("memory") && cgroups.memory.empty()) return Weaker(Layer::kMemory, weaker, CgroupAdvice());
    if (cgroups.swap_in_use && !cgroups.swap_limit) {
      return Weaker(Layer::kMemory, weaker, {"the cgroups here do not limit swap, and there is some", "boot with swapaccount=1, or swapoff -a"});
    }
    return Yes(Layer::kMemory, HasUnified("memory") ? absl::StrCat("cgroup v2 memory in ", cgroups.unified)
                                                    : absl::StrCat("cgroup v1 memory in ", cgroups.memory));
  }

  const Machine& machine_;
  int user_error_;
};

}  // namespace

std::vector<LayerReport> ProbeMachine() {
  const Doctor doctor;
  std::vector<LayerReport> reports;
  for (Layer layer : kAllLayers) reports.push_back(doctor.Report(layer));
  return reports;
}

}  // namespace brood
