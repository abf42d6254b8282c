#include "sandbox/overlay_child.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
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

// What an overlay is made of.
struct Layers {
  int memory;          // A tmpfs in which the others meet.
  const int* sources;  // From top to bottom,
  size_t count;        // at least one.
  int changes;         // -1: they are in memory, or there can be none.
};

bool IsReadOnly(const MountStep& step) { return (step.attributes & MOUNT_ATTR_RDONLY) != 0; }

constexpr const char* kMake = "make the directories of the overlay on /";

// One of the two directories of an overlay, which may be there from the last time.
bool MakeKept(int changes, const char* name, const MountStep& step, SetupMessage* failure) {
  return mkdirat(changes, name, 0700) == 0 || errno == EEXIST || Fail(failure, "mount", errno, kMake, step.target);
}

// Where a layer is while the overlay is made: the first lies on top.
Path LayerName(size_t number) {
  Path name;
  name.Add("lower").AddNumber(number);
  return name;
}

// What the overlay shows as its own root is `upper`, so that has the mode of the source's.
bool MakeDirectories(const Layers& layers, const MountStep& step, SetupMessage* failure) {
  struct stat about = {};
  for (size_t i = layers.count; i-- > 0;) {
    if (fstat(layers.sources[i], &about) != 0) return Fail(failure, "mount", errno, "stat the source of the overlay on /", step.target);
    if (!S_ISDIR(about.st_mode)) {
      if (layers.count == 1) return Fail(failure, "mount", ENOTDIR, "only of a directory there can be an overlay: ", step.source);
      return Fail(failure, "mount", ENOTDIR, "only of directories there can be an overlay, and one is none, on /", step.target);
    }
    if (mkdirat(layers.memory, LayerName(i).c_str(), 0755) != 0) return Fail(failure, "mount", errno, kMake, step.target);
  }
  const mode_t mode = about.st_mode & 01777;
  const int memory = layers.memory;
  const int changes = layers.changes;
  const char* const names[] = {changes < 0 ? "upper" : "changes", "work"};
  for (const char* name : names) {
    if (mkdirat(memory, name, 0755) != 0) return Fail(failure, "mount", errno, kMake, step.target);
  }
  if (changes < 0) return fchmodat(memory, "upper", mode, 0) == 0 || Fail(failure, "mount", errno, kMake, step.target);
  // The mode of the last time stays, which the child may have changed.
  const bool is_new = faccessat(changes, "upper", F_OK, AT_SYMLINK_NOFOLLOW) != 0;
  if (!MakeKept(changes, "upper", step, failure) || !MakeKept(changes, "work", step, failure)) return false;
  return !is_new || fchmodat(changes, "upper", mode, 0) == 0 || Fail(failure, "mount", errno, kMake, step.target);
}

// Without them a directory that was deleted and made anew would show what it had before, at the latest the next time.
bool HasAttributes(int changes, const MountStep& step, SetupMessage* failure) {
  const int work = openat(changes, "work", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  const bool has = work >= 0 && fsetxattr(work, "user.brood", "y", 1, 0) == 0 && fremovexattr(work, "user.brood") == 0;
  const int error = errno;
  if (work >= 0) close(work);
  return has || Fail(failure, "mount", error,
                     error == EOPNOTSUPP ? "no changes of an overlay can be kept on a file system without user attributes (tmpfs has them since "
                                           "Linux 6.6): for /"
                                         : "open the directory for changes of the overlay on /",
                     step.target);
}

bool Move(int mount, int memory, const char* name, const char* what, const MountStep& step, SetupMessage* failure) {
  const int place = openat(memory, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
  const bool moved = place >= 0 && MoveMount(mount, place, "") == 0;
  const int error = errno;
  if (place >= 0) close(place);
  return moved || Fail(failure, "mount", error, what, step.target);
}

// Layers must be mounted in our namespace while the overlay is made; then it has copies of its own.
bool MoveLayers(const Layers& layers, int root, const MountStep& step, SetupMessage* failure) {
  const int memory = layers.memory;
  if (MoveMount(memory, root, "") != 0) return Fail(failure, "mount", errno, "move_mount of the tmpfs for the overlay on /", step.target);
  for (size_t i = 0; i < layers.count; ++i) {
    if (!Move(layers.sources[i], memory, LayerName(i).c_str(), "move_mount of the source for the overlay on /", step, failure)) return false;
  }
  return layers.changes < 0 || (Move(layers.changes, memory, "changes", "move_mount of the directory for changes of the overlay on /", step, failure) &&
                                HasAttributes(layers.changes, step, failure));
}

// Where changes are, if there can be any.
bool SetUpper(int context, int directory) {
  const int upper = openat(directory, "upper", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  const int work = upper >= 0 ? openat(directory, "work", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
  const bool set = work >= 0 && FsConfigString(context, "upperdir", PathOf(upper).c_str()) == 0 &&
                   FsConfigString(context, "workdir", PathOf(work).c_str()) == 0;
  const int error = errno;
  const int opened[] = {upper, work};
  for (const int fd : opened) {
    if (fd >= 0) close(fd);
  }
  errno = error;
  return set;
}

int OpenOverlay(const Layers& layers, const MountStep& step) {
  // An option has at most 255 bytes. fsconfig(2)
  Text<256> lower;
  for (size_t i = 0; i < layers.count; ++i) lower.Add(i > 0 ? ":" : "").Add(PathOf(layers.sources[i]).c_str());
  const int context = FsOpen("overlay");
  int overlay = -1;
  // userxattr: what marks a deleted directory and the like stands in attributes that a user namespace may set.
  // Documentation/filesystems/overlayfs.rst, "User xattr".
  if (context >= 0 && FsConfigString(context, "lowerdir", lower.c_str()) == 0 &&
      (IsReadOnly(step) || SetUpper(context, layers.changes < 0 ? layers.memory : layers.changes)) &&
      FsConfigFlag(context, "userxattr") == 0 && FsConfigCreate(context) == 0) {
    overlay = FsMount(context, static_cast<unsigned>(step.attributes));
  }
  const int error = errno;
  if (context >= 0) close(context);
  errno = error;
  return overlay;
}

}  // namespace

int MakeOverlay(const MountStep& step, const int* sources, const OverlayParts& parts, int root, SetupMessage* failure) {
  constexpr const char* kFewBytes = "1048576";  // Places to mount on.
  const size_t count = 1 + parts.layers;
  const Layers layers = {.memory = NewTmpfs(step.text != nullptr ? step.text : kFewBytes, "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, step.target, failure),
                         .sources = sources,
                         .count = count,
                         .changes = parts.changes ? sources[count] : -1};
  int overlay = -1;
  if (layers.memory >= 0 && MakeDirectories(layers, step, failure)) {
    if (MoveLayers(layers, root, step, failure)) {
      overlay = OpenOverlay(layers, step);
      if (overlay < 0) {
        Fail(failure, "mount", errno,
             errno == ENODEV ? "the kernel has no overlayfs (CONFIG_OVERLAY_FS; modprobe overlay) for /"
             : layers.changes < 0 ? "overlayfs (needs Linux 5.11 with CONFIG_OVERLAY_FS; what is mounted inside of the directory only root can leave out) on /"
                         : "overlayfs with changes on the host (needs Linux 5.11, for root's child 5.19, and for changes a file system that "
                           "can be its upper layer: no overlay, no NFS) on /",
             step.target);
      }
    }
    if (umount2(PathOf(layers.memory).c_str(), MNT_DETACH) != 0 && overlay >= 0) {
      Fail(failure, "mount", errno, "unmount what the overlay was made of, for /", step.target);
      close(overlay);
      overlay = -1;
    }
  }
  for (size_t i = 0; i < count; ++i) {
    if (sources[i] >= 0) close(sources[i]);
  }
  const int opened[] = {layers.memory, layers.changes};
  for (const int fd : opened) {
    if (fd >= 0) close(fd);
  }
  return overlay;
}

}  // namespace brood::child
