#include "sandbox/namespace_probe.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/child_safe.h"
#include "base/status.h"
#include "sandbox/machine.h"

namespace brood {

int TryInNamespaces(uint64_t flags, int (*step)()) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return errno;
  // No exit signal: an embedder's handler and its wait(-1) do not meet it. clone(2), __WALL in wait(2).
  const long pid = syscall(SYS_clone, flags, nullptr, nullptr, nullptr, nullptr);
  if (pid == 0) {
    const int result = step != nullptr ? step() : 0;
    if (write(report[1], &result, sizeof(result)) < 0) syscall(SYS_exit_group, 1);
    syscall(SYS_exit_group, 0);
  }
  const int clone_error = errno;
  close(report[1]);
  int result = pid < 0 ? clone_error : EIO;
  if (pid > 0) {
    if (read(report[0], &result, sizeof(result)) != sizeof(result)) result = EIO;
    while (waitpid(static_cast<pid_t>(pid), nullptr, __WALL) < 0 && errno == EINTR) {
    }
  }
  close(report[0]);
  return result;
}

int TryUserNamespace() {
  if (!ThisMachine().can_map_own_id) return EPERM;
  // Its ids are mapped by a file there. user_namespaces(7)
  if (access("/proc/self/uid_map", W_OK) != 0 && errno == EROFS) return EROFS;
  if (access("/proc/self/status", F_OK) != 0 && !ThisMachine().foreign_proc) return ENOENT;
  if (ThisMachine().foreign_proc) return ESRCH;  // And what is there under its number is another's.
  return TryInNamespaces(CLONE_NEWUSER, nullptr);
}

int TryNewProc() {
  const int context = static_cast<int>(syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC));
  if (context < 0) return errno;
  if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return errno;
  return syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID) < 0 ? errno : 0;
}

// Only to be read, because ids that are not mapped make no files.
int TryOverlay() {
  const int context = static_cast<int>(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC));
  if (context < 0) return errno;
  if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "lowerdir", "/usr/bin:/usr/lib", 0) != 0) return errno;
  if (syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, "userxattr", nullptr, 0) != 0) return errno;
  if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return errno;
  return syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID) < 0 ? errno : 0;
}

// Not a flag of clone(2), whose lowest byte is the exit signal. time_namespaces(7)
int TryTimeNamespace() {
  if (unshare(CLONE_NEWTIME) != 0) return errno;
  constexpr char kOffset[] = "monotonic 1 0";
  return child::WriteFile(AT_FDCWD, "/proc/self/timens_offsets", kOffset, sizeof(kOffset) - 1);
}

namespace {

// Whether it is the kernel's word on namespaces, and not that something has run out for now. clone(2), unshare(2), fsopen(2).
bool IsRefusal(int error) {
  for (const int refusal : {EPERM, EACCES, EINVAL, ENOSYS, ENOSPC, EUSERS, ENODEV, EROFS, ESRCH, ENOENT}) {
    if (error == refusal) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<LayerSet> MissingNamespaces(const LayerSet& wanted, bool with_proc) {
  struct Kind {
    Layer layer;
    uint64_t flags;
    int (*step)() = nullptr;
  };
  constexpr Kind kKinds[] = {{Layer::kPid, CLONE_NEWPID}, {Layer::kMount, CLONE_NEWNS}, {Layer::kNet, CLONE_NEWNET},
                             {Layer::kIpc, CLONE_NEWIPC}, {Layer::kUts, CLONE_NEWUTS},  {Layer::kCgroup, CLONE_NEWCGROUP},
                             {Layer::kTime, 0, TryTimeNamespace}};
  LayerSet missing;
  uint64_t user = wanted.count(Layer::kUser) != 0 ? CLONE_NEWUSER : 0;
  if (user != 0) {
    const int error = TryUserNamespace();
    if (error != 0 && !IsRefusal(error)) return ErrnoStatus(error, "look for namespaces", LayerName(Layer::kUser));
    if (error != 0) {
      missing.insert(Layer::kUser);
      user = 0;
    }
  }
  for (const Kind& kind : kKinds) {
    if (wanted.count(kind.layer) == 0) continue;
    const bool proc = kind.layer == Layer::kMount && with_proc;
    const uint64_t flags = kind.flags | user | (proc ? CLONE_NEWPID : 0);
    const int error = TryInNamespaces(flags, proc ? TryNewProc : kind.step);
    if (error != 0 && !IsRefusal(error)) return ErrnoStatus(error, "look for namespaces", LayerName(kind.layer));
    if (error != 0) missing.insert(kind.layer);
  }
  return missing;
}

}  // namespace brood
