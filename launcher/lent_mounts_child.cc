#include "launcher/lent_mounts_child.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/child_safe.h"
#include "launcher/id_maps_child.h"
#include "launcher/messages_child.h"
#include "sandbox/mount_api_child.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

// A user namespace in which the caller's id stands for the child's. It is kept alive by its descriptor alone.
int OpenIdmapNamespace(const ChildPlan& plan, uint32_t outside_id, SetupMessage* failure) {
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) {
    Fail(failure, "mount", errno, "pipe");
    return -1;
  }
  const long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid == 0) {
    // Lives until the guardian has opened its namespace, and no longer than the guardian: then the read ends.
    close(ready[1]);
    char byte;
    while (read(ready[0], &byte, 1) < 0 && errno == EINTR) {
    }
    syscall(SYS_exit_group, 0);
  }
  close(ready[0]);
  int fd = -1;
  if (pid < 0) {
    Fail(failure, "mount", errno, "user namespace for id-mapped mounts");
  } else {
    const pid_t holder = static_cast<pid_t>(pid);
    if (WriteIdMaps(holder, plan.caller_uid, outside_id, plan.caller_gid, outside_id, false, failure)) {
      Text<64> path;
      path.Add("/proc/").AddNumber(static_cast<uint64_t>(holder)).Add("/ns/user");
      fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
      if (fd < 0) Fail(failure, "mount", errno, "open ", path.c_str());
    }
  }
  close(ready[1]);
  if (pid > 0) {
    while (waitpid(static_cast<pid_t>(pid), nullptr, __WALL) < 0 && errno == EINTR) {
    }
  }
  return fd;
}

// Two overlays at once in one directory are undefined behaviour, which the kernel only warns of. The lock is the guardian's as
// long as it lives. Documentation/filesystems/overlayfs.rst, "Sharing and copying layers".
bool Reserve(const MountStep& step, SetupMessage* failure) {
  const int directory = OpenAt2(AT_FDCWD, step.source, O_RDONLY | O_DIRECTORY | O_CLOEXEC, RESOLVE_NO_SYMLINKS);
  if (directory < 0) return Fail(failure, "mount", errno, "open, as a directory for the changes of an overlay, ", step.source);
  if (flock(directory, LOCK_EX | LOCK_NB) == 0) return true;
  return Fail(failure, "mount", errno == EWOULDBLOCK ? EBUSY : errno, "another child keeps the changes of its overlay there: ", step.source);
}

}  // namespace

int OpenLentMounts(const LaunchRecord& record, uint32_t outside_id, int* fds, SetupMessage* failure) {
  const ChildPlan& plan = record.plan;
  int count = 0;
  int user_namespace = -1;
  for (size_t i = 0; i < plan.mount_count; ++i) {
    const MountStep& step = plan.mounts[i];
    if (step.kind == MountStep::Kind::kChanges && !Reserve(step, failure)) return -1;
    if (!HasSource(step) || !step.lent) continue;
    if (count == kMaxPassedFds) {
      Fail(failure, "mount", E2BIG, "more than 200 directories are lent");
      return -1;
    }
    const int tree = OpenMountSource(step, failure);
    if (tree < 0) return -1;
    fds[count++] = tree;
    if (!step.idmapped || plan.ids != IdMapping::kOwnerless) continue;
    if (user_namespace < 0) {
      user_namespace = OpenIdmapNamespace(plan, outside_id, failure);
      if (user_namespace < 0) return -1;
    }
    mount_attr attributes = {};
    attributes.attr_set = MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<uint64_t>(user_namespace);
    // Only the top mount: a submount of a kind that cannot be mapped would refuse the whole tree. Others stay as they are.
    if (MountSetattr(tree, 0, attributes) != 0 && step.idmap_required) {
      Fail(failure, "mount", errno,
           step.device ? "not everybody may open this device, and its file system cannot be id-mapped (devtmpfs cannot); pass it "
                         "open, or make it anew in a tmpfs by mknod(1): "
                       : "this file system cannot be id-mapped, so it cannot be lent for writing; use one that can (ext4, xfs, btrfs, "
                         "tmpfs since Linux 6.3): ",
           step.source);
      return -1;
    }
  }
  if (user_namespace >= 0) close(user_namespace);
  return count;
}

}  // namespace brood::child
