#include "sandbox/privileges_child.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/child_safe.h"
#include "sandbox/mounts_child.h"

namespace brood::child {

bool ChooseGroups(const ChildPlan& plan, SetupMessage* failure) {
  return plan.group_count == 0 || syscall(SYS_setgroups, plan.group_count, plan.groups) == 0 || Fail(failure, "ids", errno, "setgroups to those of the policy");
}

bool SwitchIds(uint32_t uid, uint32_t gid, bool drop_groups, SetupMessage* failure) {
  // Raw calls: glibc's wrappers make every thread of the process switch, by signals, and a copy of a process has no
  // such threads any more. nptl(7).
  if (drop_groups && syscall(SYS_setgroups, 0, nullptr) != 0) return Fail(failure, "ids", errno, "setgroups");
  if (syscall(SYS_setresgid, gid, gid, gid) != 0) return Fail(failure, "ids", errno, "setresgid");
  if (syscall(SYS_setresuid, uid, uid, uid) != 0) return Fail(failure, "ids", errno, "setresuid");
  return true;
}

bool LockPrivileges(uint64_t kept, SetupMessage* failure) {
  // It needs CAP_SETPCAP. EINVAL marks the end of what the kernel knows. capabilities(7).
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if ((kept >> capability & 1) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;
    // Without a user namespace an unprivileged caller has no CAP_SETPCAP and cannot empty the set; it has no effect
    // either, because no_new_privs stops every way to gain from it.
    if (errno == EPERM) break;
    return Fail(failure, "capabilities", errno, "PR_CAPBSET_DROP");
  }
  // With them id 0 would be one like any other: who keeps some expects what there is everywhere, that a service begins as 0,
  // and has none once it is another.
  if (kept != 0) return true;
  constexpr unsigned long kLocked = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                    SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  if (prctl(PR_SET_SECUREBITS, kLocked, 0, 0, 0) != 0 && errno != EPERM) {
    return Fail(failure, "capabilities", errno, "PR_SET_SECUREBITS");
  }
  return true;
}

bool DropPrivileges(uint64_t kept, SetupMessage* failure) {
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL) {
    return Fail(failure, "capabilities", errno, "PR_CAP_AMBIENT_CLEAR_ALL");
  }
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const auto low = static_cast<uint32_t>(kept);
  const auto high = static_cast<uint32_t>(kept >> 32);
  const __user_cap_data_struct data[2] = {{low, low, low}, {high, high, high}};
  if (syscall(SYS_capset, &header, data) != 0) return Fail(failure, "capabilities", errno, "capset");
  // An exec by another id than 0 leaves those of the ambient set alone. capabilities(7)
  for (unsigned long capability = 0; kept >> capability != 0; ++capability) {
    if ((kept >> capability & 1) == 0) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) return Fail(failure, "capabilities", errno, "PR_CAP_AMBIENT_RAISE");
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Fail(failure, "no_new_privs", errno, "PR_SET_NO_NEW_PRIVS");
  // The init shares the child's id: without this the child could trace it and read what it has of the caller's memory.
  // An exec makes the program dumpable again. ptrace(2), "Ptrace access mode checking".
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Fail(failure, "capabilities", errno, "PR_SET_DUMPABLE");
  return true;
}

void LimitWatches() {
  // Counted for the caller too, who by default has 128, and for each namespace on the way. Where /proc/sys is read-only, as in
  // a container, the caller's own limit is all there is. namespaces(7), "The /proc/sys/user directory".
  WriteFile(AT_FDCWD, "/proc/sys/user/max_inotify_instances", "16", 2);
  WriteFile(AT_FDCWD, "/proc/sys/user/max_inotify_watches", "8192", 4);
}

bool ApplyRlimits(const ChildPlan& plan, SetupMessage* failure) {
  for (size_t i = 0; i < plan.rlimit_count; ++i) {
    if (syscall(SYS_prlimit64, 0, plan.rlimits[i].resource, &plan.rlimits[i].limit, nullptr) != 0) {
      return Fail(failure, "limits", errno, "prlimit: the limit is above the caller's own hard limit");
    }
  }
  return true;
}

bool ApplyCpus(const ChildPlan& plan, SetupMessage* failure) {
  if (!plan.limits_cpus || syscall(SYS_sched_setaffinity, 0, sizeof(plan.cpus), plan.cpus) == 0) return true;
  return Fail(failure, "limits", errno, "sched_setaffinity: none of the CPUs that were asked for can be used");
}

bool LimitSpeculation(const ChildPlan& plan, SetupMessage* failure) {
  for (unsigned long kind = 0; plan.speculation_off >> kind != 0; ++kind) {
    if ((plan.speculation_off >> kind & 1) == 0) continue;
    if (prctl(PR_SET_SPECULATION_CTRL, kind, PR_SPEC_FORCE_DISABLE, 0, 0) != 0) {
      return Fail(failure, "speculation", errno, kind == PR_SPEC_STORE_BYPASS ? "turn store bypass off" : "turn indirect branches off");
    }
  }
  return true;
}

bool LoadFilter(const ChildPlan& plan, int* listener, SetupMessage* failure) {
  *listener = -1;
  if (plan.filter_length == 0) return true;
  sock_fprog program = {plan.filter_length, const_cast<sock_filter*>(plan.filter)};
  const unsigned long flags = (plan.filter_notifies ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0) |
                              (plan.filter_allows_speculation ? SECCOMP_FILTER_FLAG_SPEC_ALLOW : 0);
  const long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  if (result < 0) {
    return Fail(failure, "seccomp", errno,
                errno == EBUSY ? "the caller already runs under a filter with a notification listener, and Linux allows "
                                 "one in a process: run brood outside that sandbox"
                               : "load the filter");
  }
  if (plan.filter_notifies) *listener = static_cast<int>(result);
  return true;
}

bool BringLoopbackUp(SetupMessage* failure) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Fail(failure, "network", errno, "socket");
  ifreq request = {};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const bool up = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  const int error = errno;
  close(fd);
  return up || Fail(failure, "network", error, "bring the loopback interface up");
}

}  // namespace brood::child
