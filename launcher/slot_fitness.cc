#include "launcher/slot_fitness.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <iterator>
#include <set>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "forkserver/slot_child.h"
#include "sandbox/filter_answers.h"
#include "sandbox/linux_plan.h"
#include "sandbox/machine.h"

namespace brood::internal {
namespace {

struct Call {
  long number;
  std::string_view name;
};

// What a keeper does in a slot besides what its secret allows it, and a child before its target.
constexpr Call kNeeded[] = {
    {SYS_read, "read"},           {SYS_write, "write"},
    {SYS_close, "close"},         {SYS_ppoll, "ppoll"},
    {SYS_wait4, "wait4"},         {SYS_kill, "kill"},
    {SYS_pread64, "pread64"},     {SYS_pwrite64, "pwrite64"},
    {SYS_fstat, "fstat"},         {SYS_fstatfs, "fstatfs"},
    {SYS_flistxattr, "flistxattr"}, {SYS_exit_group, "exit_group"},
    {SYS_prctl, "prctl"},         {SYS_set_robust_list, "set_robust_list"},
    {SYS_rseq, "rseq"},           {SYS_munmap, "munmap"},
    {SYS_brk, "brk"},             {SYS_setpgid, "setpgid"},
    {SYS_getppid, "getppid"},     {SYS_rt_sigprocmask, "rt_sigprocmask"},
    {SYS_close_range, "close_range"}, {SYS_getrandom, "getrandom"},
    {SYS_clock_gettime, "clock_gettime"}, {SYS_futex, "futex"}};

// What children make with these is looked for after each, by the same.
constexpr Call kIpc[] = {{SYS_semget, "semget"}, {SYS_msgget, "msgget"}, {SYS_shmctl, "shmctl"},
                         {SYS_semctl, "semctl"}, {SYS_msgctl, "msgctl"}, {SYS_mq_open, "mq_open"}};

// By each of these a child could leave, in a namespace or in the kernel, what no look at the slot finds.
constexpr Call kLeaving[] = {
    {SYS_keyctl, "keyctl"},           {SYS_add_key, "add_key"},
    {SYS_request_key, "request_key"}, {SYS_mount, "mount"},
    {SYS_umount2, "umount2"},         {SYS_pivot_root, "pivot_root"},
    {SYS_move_mount, "move_mount"},   {SYS_mount_setattr, "mount_setattr"},
    {SYS_unshare, "unshare"},         {SYS_setns, "setns"},
    {SYS_ptrace, "ptrace"},           {SYS_process_vm_writev, "process_vm_writev"},
    {SYS_bpf, "bpf"},                 {SYS_io_uring_setup, "io_uring_setup"},
    {SYS_clone3, "clone3"},           {SYS_sethostname, "sethostname"},
    {SYS_pidfd_getfd, "pidfd_getfd"}};

absl::Status Unfit(std::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("a sandbox that is kept for the next child: ", why));
}

bool IsBelow(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path.substr(0, folder.size()) == folder && (folder.empty() || path[folder.size()] == '/');
}

// The directory in memory in which the place of `step` is; null: none.
const MountStep* MemoryAbove(const ChildPlan& plan, const MountStep& step) {
  const MountStep* nearest = nullptr;
  for (size_t i = 0; i < plan.mount_count; ++i) {
    const MountStep& above = plan.mounts[i];
    if (!IsMount(above) || !IsBelow(step.target, above.target)) continue;
    if (nearest == nullptr || strlen(above.target) > strlen(nearest->target)) nearest = &above;
  }
  return nearest != nullptr && nearest->kind == MountStep::Kind::kTmpfs && nearest->target[0] != '\0' ? nearest : nullptr;
}

// Whose times and modes are looked at after each child: those in memory, and what was made in them (slot_init_child.h). Of a
// place that is mounted upon nobody can change anything.
absl::Status FoldersFit(const ChildPlan& plan) {
  std::set<std::string_view> folders;
  for (size_t i = 0; i < plan.mount_count; ++i) {
    const MountStep& step = plan.mounts[i];
    const std::string_view target = step.target;
    if (step.kind == MountStep::Kind::kTmpfs && !target.empty()) folders.insert(target);
    const MountStep* const memory = MemoryAbove(plan, step);
    if (memory == nullptr || (!IsMount(step) && !Makes(step))) continue;
    if (step.kind == MountStep::Kind::kSymlink || step.kind == MountStep::Kind::kFile) {
      return Unfit(absl::StrCat("/", target, " is made in memory, where a child can change it"));
    }
    if (step.kind == MountStep::Kind::kDirectory && (step.mode & S_IRUSR) == 0) {
      return Unfit(absl::StrCat("/", target, " is made in memory, with a mode by which it cannot be looked at"));
    }
    for (size_t end = strlen(memory->target) + 1; (end = target.find('/', end)) != std::string_view::npos; ++end) {
      folders.insert(target.substr(0, end));
    }
    if (step.kind == MountStep::Kind::kDirectory) folders.insert(target);
  }
  const size_t count = folders.size() + (AllowsIpc(plan) ? 1 : 0);
  if (count <= child::SlotEntry::kMaxFolders) return absl::OkStatus();
  return Unfit(absl::StrCat("more than ", child::SlotEntry::kMaxFolders, " tmpfs, and directories in them"));
}

absl::Status FilterFits(const ChildPlan& plan) {
  const auto answers = [&plan](long number) { return AnswersOf(plan.filter, plan.filter_length, static_cast<uint32_t>(number)); };
  const auto allows = [&plan](long number, const uint64_t(&args)[6]) {
    return AnswerTo(plan.filter, plan.filter_length, static_cast<uint32_t>(number), args) == SECCOMP_RET_ALLOW;
  };
  for (const Call& call : kNeeded) {
    if (!answers(call.number).always_allows()) return Unfit(absl::StrCat("the policy must allow ", call.name));
  }
  for (const Call& call : kLeaving) {
    if (answers(call.number).may_allow) {
      return Unfit(absl::StrCat("the policy allows ", call.name, ", by which a child can leave what the next one finds"));
    }
  }
  // With some arguments these are refused, as huge pages are.
  constexpr uint64_t kAny = 0x1000;
  if (!allows(SYS_mmap, {0, kAny, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS})) return Unfit("the policy must allow mmap");
  if (!allows(SYS_prlimit64, {0, RLIMIT_NOFILE, kAny, 0})) return Unfit("the policy must allow prlimit64");
  if (AllowsIpc(plan) && !allows(SYS_shmget, {IPC_PRIVATE, kAny, IPC_CREAT | 0600})) {
    return Unfit("a policy with IPC must allow shmget");
  }
  // A keeper's fork, and the thread of a target's.
  if (!allows(SYS_clone, {CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD}) ||
      !allows(SYS_clone, {CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PIDFD | SIGCHLD})) {
    return Unfit("the policy must allow to fork");
  }
  for (const uint64_t flag : {CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC}) {
    if (allows(SYS_clone, {flag | SIGCHLD})) return Unfit("the policy allows new namespaces");
  }
  // What a socket does is seen by the interface's counters. Without one it reaches nobody, but those of other families have
  // state of their own in the namespace.
  for (int family = 0; family < AF_MAX; ++family) {
    const bool allowed = allows(SYS_socket, {static_cast<uint64_t>(family), SOCK_STREAM}) ||
                         allows(SYS_socket, {static_cast<uint64_t>(family), SOCK_DGRAM}) ||
                         allows(SYS_socket, {static_cast<uint64_t>(family), SOCK_RAW});
    if (allowed && family != AF_UNIX && family != AF_INET && family != AF_INET6) {
      return Unfit(absl::StrCat("the policy allows sockets of family ", family));
    }
  }
  if (AllowsIpc(plan)) {
    for (const Call& call : kIpc) {
      if (!answers(call.number).always_allows()) return Unfit(absl::StrCat("a policy with IPC must allow ", call.name));
    }
  }
  return absl::OkStatus();
}

// What a child does besides, to become a program, and to tell why it could not.
constexpr Call kNeededByPrograms[] = {
    {SYS_execve, "execve"}, {SYS_dup2, "dup2"}, {SYS_setsid, "setsid"}, {SYS_chdir, "chdir"}, {SYS_faccessat2, "faccessat2"}};

}  // namespace

absl::Status FitsPrograms(const CompiledPolicy& policy) {
  const ChildPlan& plan = policy.platform().child;
  for (const Call& call : kNeededByPrograms) {
    if (AnswersOf(plan.filter, plan.filter_length, static_cast<uint32_t>(call.number)).always_allows()) continue;
    return Unfit(absl::StrCat("the policy must allow ", call.name));
  }
  const uint64_t duplicate[6] = {3, F_DUPFD_CLOEXEC, 3};
  if (AnswerTo(plan.filter, plan.filter_length, SYS_fcntl, duplicate) == SECCOMP_RET_ALLOW) return absl::OkStatus();
  return Unfit("the policy must allow to duplicate descriptors");
}

bool FitsReserve(const ChildPlan& plan) {
  // Besides what FitsSlot wants of every policy.
  const uint64_t table[6] = {3, UINT_MAX, CLOSE_RANGE_UNSHARE};
  const uint64_t child[6] = {CLONE_FILES | CLONE_PIDFD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD};
  return AnswerTo(plan.filter, plan.filter_length, SYS_close_range, table) == SECCOMP_RET_ALLOW &&
         AnswerTo(plan.filter, plan.filter_length, SYS_clone, child) == SECCOMP_RET_ALLOW;
}

bool FitsForgetting(const ChildPlan& plan) {
  const uint64_t forget[6] = {0x1000, 0x1000, MADV_DONTNEED};
  return AnswerTo(plan.filter, plan.filter_length, SYS_madvise, forget) == SECCOMP_RET_ALLOW;
}

bool AllowsIpc(const ChildPlan& plan) {
  const auto allows = [&plan](long number) {
    return AnswersOf(plan.filter, plan.filter_length, static_cast<uint32_t>(number)).may_allow;
  };
  return allows(SYS_shmget) || std::any_of(std::begin(kIpc), std::end(kIpc), [&](const Call& call) { return allows(call.number); });
}

absl::Status FitsSlot(const CompiledPolicy& policy) {
  const ChildPlan& plan = policy.platform().child;
#if !defined(__x86_64__)
  return Unfit("it is there for x86-64 only");
#endif
  constexpr uint64_t kAll = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  if ((plan.namespaces & kAll) != kAll || plan.mount_count == 0 || !plan.drop_privileges) {
    return Unfit("the policy must have the user, pid, mount, net, ipc and uts namespaces, and drop privileges");
  }
  if (plan.id_count > 1 || plan.inside_uid != kInsideId || plan.inside_gid != kInsideId || plan.kept_capabilities != 0) {
    return Unfit("the policy has ids or capabilities of its own");
  }
  if ((plan.namespaces & CLONE_NEWTIME) != 0) return Unfit("the policy has the time namespace, whose clocks begin anew for each child");
  if (!policy.policy().minimal_system) return Unfit("the policy must have minimal_system, for its /proc");
  if (plan.filter_length == 0) return Unfit("the policy must filter system calls");
  if (plan.filter_length + child::kFilterPreludeLength > BPF_MAXINSNS) return Unfit("its filter is too long");
  for (const SyscallRule& rule : policy.policy().syscalls) {
    if (rule.action == SyscallAction::kNotify) return Unfit("the policy has calls counted, which only a guardian does");
  }
  BROOD_RETURN_IF_ERROR(FilterFits(plan));
  if (plan.destination_count > 0) return Unfit("the policy has a list of destinations, to which only a guardian connects");
  for (size_t i = 0; i < plan.mount_count; ++i) {
    const MountStep& step = plan.mounts[i];
    if (step.kind == MountStep::Kind::kOverlay && (step.attributes & MOUNT_ATTR_RDONLY) == 0) return Unfit("the policy has an overlay, in which a child can leave anything");
  }
  BROOD_RETURN_IF_ERROR(FoldersFit(plan));
  if (policy.limits().grace.has_value()) return Unfit("a program has time to end in, which only a guardian gives");
  if (!policy.policy().groups.empty()) return Unfit("the policy has groups");
  if (plan.further_filter_count > 0) return Unfit("the policy has filters of BPF bytes, which need not allow what a keeper does");
  if (policy.policy().process != ProcessAttributes()) return Unfit("the policy has attributes of processes, which a keeper could not take back");
  if (plan.limits_cpus) return Unfit("the policy has a set of CPUs");
  if (plan.rlimit_count > child::SlotBirth::kMaxRlimits) return Unfit("too many resource limits");
  // With version 2 a child is born in a group of its own, by a call that the filter of a container may hide. clone3(2)
  if (policy.platform().needs_cgroups && !ThisMachine().cgroups.unified.empty() && syscall(SYS_clone3, nullptr, 0) < 0 && errno != EINVAL) {
    return Unfit("with cgroups of version 2 it needs clone3, which is refused here");
  }
  const bool samples_cpu = policy.limits().cpu_time.has_value() && !policy.platform().cgroups.count_cpu;
  if (samples_cpu || policy.platform().sample_memory || policy.platform().count_processes) {
    return Unfit("a limit of the tree that is kept by looking at it now and then");
  }
  return absl::OkStatus();
}

}  // namespace brood::internal
