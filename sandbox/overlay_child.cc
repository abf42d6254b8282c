#include "sandbox/overlay_child.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/child_safe.h"
#include "sandbox/mount_api_child.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

using Path = Text<40>;

Path PathOf(int fd) {
  Path path;
  path.Add("/proc/self/fd/").AddNumber(static_cast<uint64_t>(fd));
  return path;
}

// The three directories of the tmpfs. What the overlay shows as its own root is `upper`, so that has the mode of the source's.
bool MakeDirectories(int memory, int source, const MountStep& step, SetupMessage* failure) {
  struct stat about = {};
  if (fstat(source, &about) != 0) return Fail(failure, "mount", errno, "stat the source of the overlay on /", step.target);
  if (!S_ISDIR(about.st_mode)) return Fail(failure, "mount", ENOTDIR, "only of a directory there can be an overlay: ", step.source);
  constexpr const char* kNames[] = {"lower", "upper", "work"};
  for (const char* name : kNames) {
    if (mkdirat(memory, name, 0755) != 0) return Fail(failure, "mount", errno, "make the directories of the overlay on /", step.target);
  }
  if (fchmodat(memory, "upper", about.st_mode & 01777, 0) != 0) {
    return Fail(failure, "mount", errno, "make the directories of the overlay on /", step.target);
  }
  return true;
}

int OpenOverlay(int memory, int source, const MountStep& step) {
  const int upper = openat(memory, "upper", O_PATH | O_DIRECTORY | O_CLOEXEC);
  const int work = openat(memory, "work", O_PATH | O_DIRECTORY | O_CLOEXEC);
  const int context = upper >= 0 && work >= 0 ? FsOpen("overlay") : -1;
  int overlay = -1;
  // userxattr: what marks a deleted directory and the like stands in attributes that a user namespace may set.
  // Documentation/filesystems/overlayfs.rst, "User xattr".
  if (context >= 0 && FsConfigString(context, "lowerdir", PathOf(source).c_str()) == 0 &&
      FsConfigString(context, "upperdir", PathOf(upper).c_str()) == 0 && FsConfigString(context, "workdir", PathOf(work).c_str()) == 0 &&
      FsConfigFlag(context, "userxattr") == 0 && FsConfigCreate(context) == 0) {
    overlay = FsMount(context, static_cast<unsigned>(step.attributes));
  }
  const int error = errno;
  const int opened[] = {upper, work, context};
  for (const int fd : opened) {
    if (fd >= 0) close(fd);
  }
  errno = error;
  return overlay;
}

}  // namespace

int MakeOverlay(const MountStep& step, int source, int root, SetupMessage* failure) {
  const int memory = NewTmpfs(step.text, "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, step.target, failure);
  int overlay = -1;
  if (memory >= 0 && MakeDirectories(memory, source, step, failure)) {
    // Layers must be mounted in our namespace while the overlay is made; then it has copies of its own.
    if (MoveMount(memory, root, "") != 0) {
      Fail(failure, "mount", errno, "move_mount of the tmpfs for the overlay on /", step.target);
    } else {
      const int lower = openat(memory, "lower", O_PATH | O_DIRECTORY | O_CLOEXEC);
      if (lower < 0 || MoveMount(source, lower, "") != 0) {
        Fail(failure, "mount", errno, "move_mount of the source for the overlay on /", step.target);
      } else {
        overlay = OpenOverlay(memory, source, step);
        if (overlay < 0) {
          Fail(failure, "mount", errno,
               "overlayfs (needs Linux 5.11 with CONFIG_OVERLAY_FS; what is mounted inside of the directory only root can leave out) on /",
               step.target);
        }
      }
      if (lower >= 0) close(lower);
      if (umount2(PathOf(memory).c_str(), MNT_DETACH) != 0 && overlay >= 0) {
        Fail(failure, "mount", errno, "unmount what the overlay was made of, for /", step.target);
        close(overlay);
        overlay = -1;
      }
    }
  }
  if (memory >= 0) close(memory);
  close(source);
  return overlay;
}

}  // namespace brood::child
