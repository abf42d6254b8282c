#include "launcher/slot_init_child.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "launcher/descriptors_child.h"
#include "launcher/messages_child.h"
#include "launcher/slot_folders_child.h"
#include "sandbox/landlock_child.h"
#include "sandbox/mount_api_child.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

struct Namespace {
  uint64_t flag;
  const char* path;
};

constexpr Namespace kNamespaces[] = {
    {CLONE_NEWUSER, "/proc/self/ns/user"},     {CLONE_NEWPID, "/proc/self/ns/pid"}, {CLONE_NEWNET, "/proc/self/ns/net"},
    {CLONE_NEWIPC, "/proc/self/ns/ipc"},       {CLONE_NEWUTS, "/proc/self/ns/uts"},
    {CLONE_NEWCGROUP, "/proc/self/ns/cgroup"}, {CLONE_NEWNS, "/proc/self/ns/mnt"}};

bool Open(const char* path, int flags, int* fds, int* count, SetupMessage* failure) {
  if (*count == kMaxPassedFds) return Fail(failure, "slot", E2BIG, "more descriptors than one message takes");
  const int fd = open(path, flags | O_CLOEXEC);
  if (fd < 0) return Fail(failure, "slot", errno, "open ", path);
  fds[(*count)++] = fd;
  return true;
}

bool OpenAll(const LaunchRecord& record, int queues, int* fds, int* count, SetupMessage* failure) {
  const ChildPlan& plan = record.plan;
  // We are pid 1, and have one thread.
  if (!Open("/proc/self/task/1/children", O_RDONLY, fds, count, failure)) return false;
  for (const Namespace& kind : kNamespaces) {
    if ((plan.namespaces & kind.flag) != 0 && !Open(kind.path, O_RDONLY, fds, count, failure)) return false;
  }
  if (chdir("/") != 0) return Fail(failure, "slot", errno, "chdir /");
  FoldersInMemory memory;
  for (size_t i = 0; i < plan.mount_count; ++i) {
    const MountStep& step = plan.mounts[i];
    if (step.kind != MountStep::Kind::kTmpfs || step.target[0] == '\0') continue;
    if (!Open(step.target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, fds, count, failure)) return false;
    if (!memory.Add(fds[*count - 1])) return Fail(failure, "slot", errno, "stat ", step.target);
  }
  for (size_t i = 0; i < plan.mount_count; ++i) {
    if ((IsMount(plan.mounts[i]) || Makes(plan.mounts[i])) && !OpenMade(plan.mounts[i], &memory, fds, count, failure)) return false;
  }
  if (queues >= 0) fds[(*count)++] = queues;
  if (record.slot_watches_net && !Open("/proc/self/net/dev", O_RDONLY, fds, count, failure)) return false;
  if (!UsesLandlock(plan)) return true;
  const int ruleset = MakeRuleset(plan, failure);
  if (ruleset < 0) return false;
  fds[(*count)++] = ruleset;
  return AllowOwnProgram(plan, ruleset, failure);
}

void EndOthers() {
  // All in this namespace but us. Nothing escapes by forking: a process that has been sent SIGKILL bears none. kill(2);
  // kernel/fork.c, copy_process(), "signal_pending".
  kill(-1, SIGKILL);
  while (waitpid(-1, nullptr, __WALL) > 0 || errno == EINTR) {
  }
}

}  // namespace

int OpenQueues(SetupMessage* failure) {
  const int context = FsOpen("mqueue");
  const int queues = context >= 0 && FsConfigCreate(context) == 0 ? FsMount(context, MOUNT_ATTR_NOATIME) : -1;
  if (queues < 0) Fail(failure, "slot", errno, "look at POSIX message queues");
  if (context >= 0) close(context);
  return queues;
}

int SlotNamespaces(const ChildPlan& plan) {
  int count = 0;
  for (const Namespace& kind : kNamespaces) count += (plan.namespaces & kind.flag) != 0 ? 1 : 0;
  return count;
}

void RunSlotInit(const LaunchRecord& record, int queues) {
  const int socket = record.init_socket;
  InitMessage message;
  message.kind = InitMessage::Kind::kStarted;
  int fds[kMaxPassedFds + 2];
  int count = 0;
  if (!OpenAll(record, queues, fds, &count, &message.setup)) message.kind = InitMessage::Kind::kFailed;
  const bool told = SendMessage(socket, message, fds, message.kind == InitMessage::Kind::kStarted ? count : 0);
  if (!told || message.kind == InitMessage::Kind::kFailed || CloseAllBut(&socket, 1) != 0) syscall(SYS_exit_group, 0);

  // All signals are blocked since our birth.
  const uint64_t mask = uint64_t{1} << (SIGCHLD - 1);
  const int signals = static_cast<int>(syscall(SYS_signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC | SFD_NONBLOCK));
  for (;;) {
    pollfd polls[] = {{socket, POLLIN, 0}, {signals, POLLIN, 0}};
    if (poll(polls, 2, -1) < 0) continue;
    if (polls[1].revents != 0) {
      signalfd_siginfo ignored[4];
      while (read(signals, ignored, sizeof(ignored)) > 0) {
      }
      while (waitpid(-1, nullptr, __WALL | WNOHANG) > 0) {
      }
    }
    if (polls[0].revents == 0) continue;
    char byte;
    // Both keeper and supervisor have gone. Our end is that of everything inside. pid_namespaces(7)
    if (read(socket, &byte, 1) <= 0) syscall(SYS_exit_group, 0);
    EndOthers();
    if (send(socket, &byte, 1, MSG_NOSIGNAL) != 1) syscall(SYS_exit_group, 0);
  }
}

}  // namespace brood::child
