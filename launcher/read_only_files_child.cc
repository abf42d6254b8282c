#include "launcher/read_only_files_child.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/child_safe.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

bool SameFile(int a, int b) {
  struct stat left, right;
  return fstat(a, &left) == 0 && fstat(b, &right) == 0 && left.st_dev == right.st_dev && left.st_ino == right.st_ino;
}

// Puts the file that `tree` is in the place of `fd`. Returns 0 or an errno value.
int Replace(int fd, int tree) {
  // Somebody put another file there since the caller looked.
  if (!SameFile(fd, tree)) return ESTALE;
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return errno;
  Text<40> path;
  path.Add("/proc/self/fd/").AddNumber(static_cast<uint64_t>(tree));
  const int opened = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | (flags & O_PATH));
  if (opened < 0) return errno;
  int error = 0;
  if ((flags & O_PATH) == 0) {
    const off_t offset = lseek(fd, 0, SEEK_CUR);
    if (offset < 0 || lseek(opened, offset, SEEK_SET) < 0 || fcntl(opened, F_SETFL, flags) != 0) error = errno;
  }
  if (error == 0 && dup3(opened, fd, O_CLOEXEC) < 0) error = errno;
  close(opened);
  return error;
}

}  // namespace

bool OpenFilesReadOnly(const LaunchRecord& record, SetupMessage* failure) {
  for (size_t i = 0; i < record.child_fd_count; ++i) {
    const FdMove& move = record.child_fds[i];
    if (move.read_only_path == nullptr) continue;
    MountStep step;
    step.source = move.read_only_path;
    step.attributes = MOUNT_ATTR_RDONLY;
    const int tree = OpenMountSource(step, failure);
    if (tree < 0) return false;
    const int error = Replace(move.source, tree);
    close(tree);
    if (error != 0) {
      return Fail(failure, "descriptors", error, "open again through a read-only mount (else the child could write it): ",
                  move.read_only_path);
    }
  }
  return true;
}

}  // namespace brood::child
