#include "launcher/init_child.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/child_safe.h"
#include "base/wake_soon_child.h"
#include "launcher/copy/copy_child.h"
#include "launcher/descriptors_child.h"
#include "launcher/messages_child.h"
#include "launcher/read_only_files_child.h"
#include "launcher/slot_init_child.h"
#include "launcher/target_child.h"
#include "launcher/tree_child.h"
#include "sandbox/attributes_child.h"
#include "sandbox/mounts_child.h"
#include "sandbox/privileges_child.h"
#include "sandbox/read_back_child.h"
#include "sandbox/time_namespace_child.h"

namespace brood::child {
namespace {

constexpr int kKillPatienceMs = 10'000;
constexpr int kLookAgainMs = 10;

ClockOffsets g_clocks;  // Of the one launch that happens in an init.

// The guardian's clock, on which all limits are.
uint64_t OutsideNanoseconds() { return MonotonicNanoseconds() - static_cast<uint64_t>(g_clocks.monotonic_ns); }

[[noreturn]] void End() {
  syscall(SYS_exit_group, 0);
  __builtin_unreachable();
}

bool OwnPidNamespace(const LaunchRecord& record) { return (record.plan.namespaces & CLONE_NEWPID) != 0; }

// The guardian is gone: nobody else is left to end the tree.
[[noreturn]] void EndWithTree(const LaunchRecord& record) {
  if (!OwnPidNamespace(record)) KillChildren(kKillPatienceMs);
  End();
}

// Waits for the guardian's word that the id maps and cgroups are in place; takes the lent mounts.
bool AwaitGo(const LaunchRecord& record, int* sources, NamespaceNumbers* outside) {
  int fds[kMaxPassedFds];
  int count = 0;
  InitMessage message;
  if (!ReceiveMessage(record.init_socket, &message, fds, kMaxPassedFds, &count)) return false;
  *outside = message.outside;
  int next = 0;
  for (size_t i = 0; i < record.plan.mount_count; ++i) {
    if (HasSource(record.plan.mounts[i]) && record.plan.mounts[i].lent) {
      sources[i] = next < count ? fds[next++] : -1;
    }
  }
  return true;
}

// Before anything of the child's runs: the guardian gets the directories of an honest tree.
bool CopyFiles(const LaunchRecord& record, SetupMessage* failure) {
  if (!CopyFilesIn(record.copies, failure)) return false;
  if (record.copies.out_count == 0) return true;
  CopyPlace places[kMaxCopies];
  if (!OpenCopyPlaces(record.copies, places, failure)) return false;
  InitMessage message;
  message.kind = InitMessage::Kind::kPlaces;
  int fds[kMaxCopies];
  for (size_t i = 0; i < record.copies.out_count; ++i) {
    fds[i] = places[i].directory;
    message.rests[i] = places[i].rest;
  }
  const int count = static_cast<int>(record.copies.out_count);
  const bool sent = SendMessage(record.init_socket, message, fds, count);
  for (int i = 0; i < count; ++i) close(fds[i]);
  return sent || Fail(failure, "copy-out", EPIPE, "tell the guardian");
}

bool SetUp(const LaunchRecord& record, const NamespaceNumbers& outside, int* sources, int* queues, SetupMessage* failure) {
  const ChildPlan& plan = record.plan;
  if (!OwnPidNamespace(record) && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
    return Fail(failure, "tree", errno, "PR_SET_CHILD_SUBREAPER");
  }
  if (!SetOomScoreAdj(plan.attributes, failure)) return false;
  if (const int error = EnterOwnCgroups(record.cgroup); error != 0) {
    return Fail(failure, "cgroup", error, "enter the child's cgroup");
  }
  if (plan.read_back && record.cgroup.count > 0 && !IsInCgroups(record.cgroup)) {
    return Fail(failure, "read_back", 0, "cgroups: expected the child's own, seen others");
  }
  // Only now, when we are in our cgroup: that becomes the root of the new namespace.
  // cgroup_namespaces(7).
  if ((plan.namespaces & CLONE_NEWCGROUP) != 0 && unshare(CLONE_NEWCGROUP) != 0) {
    return Fail(failure, "cgroup namespace", errno, "unshare");
  }
  if ((plan.namespaces & CLONE_NEWTIME) != 0 && !EnterTimeNamespace(plan, &g_clocks, failure)) return false;
  if (plan.hostname != nullptr && sethostname(plan.hostname, strlen(plan.hostname)) != 0) {
    return Fail(failure, "hostname", errno, plan.hostname);
  }
  if (plan.loopback && !BringLoopbackUp(failure)) return false;
  // Its keeper's secret allows clone3, whose flags no filter sees: forkserver/slot_child.h. Where /proc/sys is read-only, as in a
  // container, the secret is all there is. namespaces(7), "The /proc/sys/user directory"
  if (record.slot_number != 0) WriteFile(AT_FDCWD, "/proc/sys/user/max_user_namespaces", "0", 1);
  if (plan.limit_watches && (plan.namespaces & CLONE_NEWUSER) != 0) LimitWatches();

  // A kept sandbox's keeper has a label, and not its init.
  const bool labels = record.slot_number == 0 && plan.label.module != LabelStep::Module::kNone;
  const int proc = labels ? OpenProcForLabel(record, failure) : -1;
  if (labels && proc < 0) return false;

  ExpectedIds ids = {.uid = plan.caller_uid, .gid = plan.caller_gid};
  const bool own_mounts = (plan.namespaces & CLONE_NEWNS) != 0 && plan.mount_count > 0;
  const bool mapped = (plan.namespaces & CLONE_NEWUSER) != 0;
  // Sources are opened with the caller's id; what the tree is made of must belong to the child's id, because a file
  // system refuses to create for an id that its user namespace does not know (EOVERFLOW). user_namespaces(7).
  if (own_mounts && !(OpenMountSources(plan, sources, failure) && OpenFilesReadOnly(record, failure))) return false;
  const bool no_groups = plan.drop_groups && plan.group_count == 0;
  if (mapped && !(ChooseGroups(plan, failure) && SwitchIds(plan.inside_uid, plan.inside_gid, no_groups, failure))) return false;
  if (mapped) ids = {.uid = plan.inside_uid, .gid = plan.inside_gid, .no_groups = no_groups};
  if (own_mounts && !BuildRoot(plan, sources, failure)) return false;
  if (own_mounts && !CopyFiles(record, failure)) return false;
  if (record.slot_watches_ipc && (*queues = OpenQueues(failure)) < 0) return false;
  if (plan.drop_privileges && !LockPrivileges(plan.kept_capabilities, failure)) return false;
  if (!mapped && plan.switch_ids) {
    const uint32_t id = plan.ownerless_base + static_cast<uint32_t>(getppid()) % plan.ownerless_count;
    if (!ChooseGroups(plan, failure) || !SwitchIds(id, id, no_groups, failure)) return false;
    ids = {.uid = id, .gid = id, .no_groups = no_groups};
  }
  if (plan.new_session && setsid() < 0) return Fail(failure, "session", errno, "setsid");
  if (plan.drop_privileges && !DropPrivileges(plan.kept_capabilities, failure)) return false;
  // Cleared by every change of ids, so set as late as this. prctl(2), PR_SET_PDEATHSIG. If the guardian is gone already
  // the next message meets a closed socket. Without a pid namespace our death would free the tree instead of ending it:
  // then Reap() sees the guardian's end.
  prctl(PR_SET_PDEATHSIG, OwnPidNamespace(record) ? SIGKILL : 0, 0, 0, 0);

  // Before our place is another than "/".
  if (plan.read_back && !ReadBackSetUp(plan, outside, ids, sources, failure)) return false;
  if (plan.read_back && (plan.namespaces & CLONE_NEWTIME) != 0 && !ReadBackClocks(g_clocks, failure)) return false;
  if (record.cwd != nullptr && chdir(record.cwd) != 0) {
    if (record.cwd_required) return Fail(failure, "cwd", errno, record.cwd);
    if (chdir("/") != 0) return Fail(failure, "cwd", errno, "/");
  }
  const int kept[] = {record.init_socket, *queues};
  const int error = record.slot_number != 0 ? CloseAllBut(kept, 2) : PlaceChildDescriptors(record, proc);
  return error == 0 || Fail(failure, "descriptors", error, "place or close the child's descriptors");
}

[[noreturn]] void Reap(const LaunchRecord& record, pid_t target) {
  // All signals are blocked since the guardian's birth.
  const uint64_t mask = uint64_t{1} << (SIGCHLD - 1);
  const int signals = static_cast<int>(syscall(SYS_signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC | SFD_NONBLOCK));
  for (;;) {
    int status = 0;
    uint64_t tasks = 0;
    if (record.counted_processes > 0) {
      // Before it is reaped, and before our end ends the others: a fork bomb that gives up leaves them at the limit.
      siginfo_t info = {};
      if (waitid(P_PID, static_cast<id_t>(target), &info, WEXITED | WNOWAIT | WNOHANG | __WALL) == 0 && info.si_pid == target) {
        tasks = SampleTree(getpid(), SampleDepth::kUsage).tasks;
      }
    }
    const pid_t pid = waitpid(-1, &status, __WALL | WNOHANG);
    if (pid < 0 && errno == EINTR) continue;
    if (pid == 0) {
      pollfd polls[] = {{record.init_socket, POLLIN, 0}, {signals, POLLIN, 0}};
      // Without a descriptor left for the signals, by looking now and then.
      poll(polls, 2, signals >= 0 ? -1 : kLookAgainMs);
      // The guardian has nothing to say any more: this is its end.
      if (polls[0].revents != 0) EndWithTree(record);
      signalfd_siginfo ignored[4];
      while (signals >= 0 && read(signals, ignored, sizeof(ignored)) > 0) {
      }
      continue;
    }
    if (pid < 0) End();  // ECHILD: nothing is left.
    if (pid != target) continue;
    InitMessage message;
    message.kind = InitMessage::Kind::kExited;
    message.status = status;
    message.tasks = tasks;
    message.time_ns = OutsideNanoseconds();
    if (!SendMessage(record.init_socket, message, nullptr, 0)) EndWithTree(record);
    // In a pid namespace our end is that of everything inside. pid_namespaces(7).
    if (!record.wait_for_tree) End();
  }
}

}  // namespace

void RunInit(const LaunchRecord& record) {
  const int kept = KeepInitDescriptors(record);
  prctl(PR_SET_NAME, "brood-init", 0, 0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // /proc/1/cmdline is readable to everyone inside, whether we are dumpable or not, and would show the caller's. The copy
  // is ours alone. proc(5).
  if (record.wipe_begin != nullptr) memset(record.wipe_begin, 0, static_cast<size_t>(record.wipe_end - record.wipe_begin));
  int sources[kMaxMountSteps];
  for (int& source : sources) source = -1;
  NamespaceNumbers outside;
  if (!AwaitGo(record, sources, &outside)) End();

  InitMessage message;
  Birth birth;
  int queues = -1;
  const bool ready = (kept == 0 || Fail(&message.setup, "descriptors", kept, "close the guardian's descriptors")) &&
                     SetUp(record, outside, sources, &queues, &message.setup);
  if (ready && record.slot_number != 0) RunSlotInit(record, queues);
  message.time_ns = OutsideNanoseconds();
  if (!ready || !StartTarget(record, &birth, &message.setup)) {
    message.kind = InitMessage::Kind::kFailed;
    SendMessage(record.init_socket, message, nullptr, 0);
    End();
  }
  // The child's streams are the child's alone: a reader must see their end when the child ends.
  const int keep[] = {record.init_socket, birth.pidfd, birth.listener};
  if (const int error = CloseAllBut(keep, 3); error != 0) {
    Fail(&message.setup, "descriptors", error, "close the child's descriptors in its init");
    message.kind = InitMessage::Kind::kFailed;
    SendMessage(record.init_socket, message, nullptr, 0);
    EndWithTree(record);
  }
  WakeSoon(BornLater::kNobody);
  message.kind = InitMessage::Kind::kStarted;
  message.target = birth.pid;
  const int fds[] = {birth.pidfd, birth.listener};
  if (!SendMessage(record.init_socket, message, fds, birth.listener >= 0 ? 2 : 1)) {
    Fail(&message.setup, "fork", errno, "pass the child's descriptors on (too many of this user's wait in sockets: see the limit of open files)");
    message.kind = InitMessage::Kind::kFailed;
    SendMessage(record.init_socket, message, nullptr, 0);
    EndWithTree(record);
  }
  close(birth.pidfd);
  if (birth.listener >= 0) close(birth.listener);
  Reap(record, birth.pid);
}

}  // namespace brood::child
