#include "launcher/guardian_birth_child.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/child_safe.h"
#include "base/wake_soon_child.h"
#include "launcher/descriptors_child.h"
#include "launcher/id_maps_child.h"
#include "launcher/init_child.h"
#include "launcher/lent_mounts_child.h"
#include "launcher/messages_child.h"
#include "launcher/target_child.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

const char* NamespaceRemedy(int error) {
  switch (error) {
    case EPERM:
      return "create namespaces: the kernel refuses user namespaces to this caller (sysctl "
             "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, or a container's own "
             "filter); see brood doctor";
    case ENOSPC:
    case EUSERS:
      return "create namespaces: a limit of /proc/sys/user/max_*_namespaces is reached; see brood doctor";
    case EAGAIN:
      return "create a process: a limit of processes is reached (RLIMIT_NPROC, or pids.max of a cgroup above)";
    case EINVAL:
      return "create namespaces: this kernel lacks one of the kinds; see brood doctor";
    default:
      return "create namespaces";
  }
}

// What the kernel refuses of a cgroup, and of nothing else that the clone asks for. clone(2), "ERRORS".
const char* CgroupRemedy(int error) {
  switch (error) {
    case EACCES:
      return "put the child into its cgroup: this user must own cgroup.procs of the group above the caller's and the "
             "child's; see docs/cgroups.md";
    case EBUSY:
      return "put the child into its cgroup: it hands controllers down, so that it cannot hold processes";
    case EOPNOTSUPP:
      return "put the child into its cgroup: it is below a threaded group; see docs/cgroups.md";
    case ENODEV:
      return "put the child into its cgroup: somebody has removed it";
    default:
      return nullptr;
  }
}

// Raw clone: the init runs child-safe code only, and a pid namespace for oneself cannot be had through fork(). Sets
// *in_cgroup if the child is born in the cgroup of version 2.
long CloneInit(unsigned long namespaces, int cgroup, int* pidfd, bool* in_cgroup) {
  if (cgroup >= 0) {
    clone_args arguments = {};
    arguments.flags = namespaces | CLONE_PIDFD | CLONE_INTO_CGROUP;
    arguments.exit_signal = SIGCHLD;
    arguments.pidfd = reinterpret_cast<uintptr_t>(pidfd);
    arguments.cgroup = static_cast<uint64_t>(cgroup);
    *in_cgroup = true;
    const long pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
    // A container's filter cannot look into the arguments and makes the call unknown.
    if (pid >= 0 || errno != ENOSYS) return pid;
  }
  *in_cgroup = false;
  return syscall(SYS_clone, namespaces | CLONE_PIDFD | SIGCHLD, nullptr, pidfd, nullptr, nullptr);
}

// What the guardian has of the caller's, once the child is born.
bool LeaveCaller(LaunchRecord* record, SetupMessage* failure) {
  prctl(PR_SET_NAME, "brood-guardian", 0, 0, 0);
  // The child's session may be the caller's: a signal to the caller's process group, or the end of its session, must not
  // hit us. What the child shares of the terminal is not ours.
  setsid();
  WakeSoon(BornLater::kNobody);
  if (chdir("/") != 0) return Fail(failure, "guardian", errno, "chdir /");
  // The child's streams are not ours: a reader must see their end when the child ends.
  for (size_t i = 0; i < record->child_fd_count; ++i) {
    close(record->child_fds[i].source);
    record->child_fds[i].source = -1;
  }
  if (record->target.executable_fd >= 0) close(record->target.executable_fd);
  record->target.executable_fd = -1;
  return true;
}

bool ForkLightTarget(const LightBirth& light, Birth* birth, SetupMessage* failure) {
  birth->pid = light.fork_target(light.arg);
  if (birth->pid < 0) return Fail(failure, "fork", -birth->pid, "fork the target");
  birth->pidfd = static_cast<int>(syscall(SYS_pidfd_open, birth->pid, 0));
  return birth->pidfd >= 0 || Fail(failure, "fork", errno, "pidfd_open");
}

}  // namespace

bool BecomeGuardian(LaunchRecord* record, SetupMessage* failure) {
  // An embedder's ignored SIGCHLD would make the kernel reap our children unseen, and an ignored SIGPIPE would pass
  // through exec to the program. The child inherits what is set here. execve(2), sigaction(2).
  ResetSignalActions();
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return Fail(failure, "tree", errno, "PR_SET_CHILD_SUBREAPER");
  const int error = TakeDescriptors(record);
  return error == 0 || Fail(failure, "descriptors", error, "move or close descriptors (see the limit of open files)");
}

bool BearInit(LaunchRecord* record, InitProcess* init, SetupMessage* failure) {
  const ChildPlan& plan = record->plan;
  // Another one for each, as far as they go round.
  const uint32_t number = record->slot_number != 0 ? record->slot_number : static_cast<uint32_t>(getpid());
  init->outside_id = plan.ownerless_count > 0 ? plan.ownerless_base + number % plan.ownerless_count : plan.caller_uid;
  // The cgroup namespace comes later, when init is in its cgroup, and that of time, which no clone(2) makes.
  const unsigned long namespaces = plan.namespaces & ~static_cast<uint64_t>(CLONE_NEWCGROUP | CLONE_NEWTIME);
  bool in_cgroup = false;
  const long pid = CloneInit(namespaces, BirthCgroup(record->cgroup), &init->pidfd, &in_cgroup);
  if (pid < 0) {
    const char* remedy = in_cgroup ? CgroupRemedy(errno) : nullptr;
    return remedy != nullptr ? Fail(failure, "cgroup", errno, remedy)
                             : Fail(failure, "namespaces", errno, NamespaceRemedy(errno));
  }
  if (pid == 0) RunInit(*record);
  init->pid = static_cast<pid_t>(pid);

  close(record->init_socket);
  record->init_socket = -1;
  if (!MapChildIds(plan, init->pid, init->outside_id, number, failure)) return false;
  if (!in_cgroup) {
    const int error = EnterCgroups(record->cgroup, init->pid);
    const char* remedy = CgroupRemedy(error);
    if (error != 0) return Fail(failure, "cgroup", error, remedy != nullptr ? remedy : "put the child into its cgroup");
  }

  // Nothing of the child's runs yet. Should we be killed when it does, also before it is ready, the owner can wait until
  // the init has ended the tree.
  if (record->control >= 0) {
    GuardianReport note;
    note.kind = ReportKind::kInitBorn;
    SendRecord(record->control, &note, sizeof(note), &init->pidfd, 1, MSG_DONTWAIT);
  }

  int lent[kMaxPassedFds];
  const int count = OpenLentMounts(*record, init->outside_id, lent, failure);
  if (count < 0) return false;
  InitMessage go;
  if (plan.read_back) go.outside = OwnNamespaces(plan);
  const bool sent = SendMessage(record->guardian_socket, go, lent, count);
  for (int i = 0; i < count; ++i) close(lent[i]);
  if (!sent) return Fail(failure, "init", EPIPE, "the init ended before it was set up");

  return true;
}

bool StartInit(LaunchRecord* record, InitProcess* init, SetupMessage* failure) {
  if (!BearInit(record, init, failure)) return false;
  if (!LeaveCaller(record, failure)) return false;
  // After the maps are written: an undumpable process's files in /proc belong to root. proc(5).
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return true;
}

bool StartLightTarget(LaunchRecord* record, const LightBirth& birth, InitProcess* target, SetupMessage* failure) {
  target->outside_id = record->plan.caller_uid;
  Birth born;
  const bool forks = record->target.kind == internal::LaunchTarget::Kind::kFunction;
  bool done = forks ? ForkLightTarget(birth, &born, failure) : StartLightExecutable(*record, &born, failure);
  if (done) {
    target->pid = born.pid;
    target->pidfd = born.pidfd;
  }
  if (!LeaveCaller(record, failure)) done = false;
  record->child_fds = nullptr;
  record->child_fd_count = 0;
  birth.release(birth.arg);
  return done;
}

}  // namespace brood::child
