#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/slow_file.h"
#include "base/status.h"
#include "launcher/read_only_files.h"

namespace brood {
namespace {

// Whether the child's id may write the file, or change its mode so that it may.
bool ChildMayWrite(int fd, const struct stat& status, const ChildPlan& plan) {
  if (plan.ids == IdMapping::kOwnerless || plan.switch_ids) {
    // No owner, and no named entry of an access control list, is this id. acl(5): others have what the mode says.
    const mode_t bits = plan.drop_groups && plan.group_count == 0 ? S_IWOTH : S_IWOTH | S_IWGRP;
    return (status.st_mode & bits) != 0;
  }
  if (status.st_uid == plan.caller_uid) return true;
  const std::string own = absl::StrCat("/proc/self/fd/", fd);
  return faccessat(AT_FDCWD, own.c_str(), W_OK, AT_EACCESS) == 0;
}

// Nobody asks its server here: the child's init, which opens the path, sees whether it is that file.
absl::StatusOr<std::string> PathOfSlowFile(int fd, int flags, const std::string& name) {
  if ((flags & O_PATH) == 0 && (flags & O_ACCMODE) != O_RDONLY) return std::string();
  char path[PATH_MAX];
  const ssize_t length = readlink(absl::StrCat("/proc/self/fd/", fd).c_str(), path, sizeof(path));
  if (length > 0 && path[0] == '/' && length < PATH_MAX) return std::string(path, static_cast<size_t>(length));
  return absl::FailedPreconditionError(absl::StrCat(name, ": a file for reading that is on a file system out of sight, so that it cannot be opened "
                                                    "read-only; give it a path, or pass its content by a pipe"));
}

}  // namespace

absl::StatusOr<std::string> PathToOpenReadOnly(int fd, const ChildPlan& plan, const std::string& name) {
  const int flags = fcntl(fd, F_GETFL);
  const std::optional<mode_t> mode = ModeAtOnce(fd);
  if (flags >= 0 && mode.has_value() && S_ISREG(*mode) && IsSlowFile(fd)) return PathOfSlowFile(fd, flags, name);
  struct stat status;
  if (flags < 0 || fstat(fd, &status) != 0) return ErrnoStatus(errno, absl::StrCat(name, ": descriptor"), absl::StrCat(fd));
  if (!S_ISREG(status.st_mode) || ((flags & O_PATH) == 0 && (flags & O_ACCMODE) != O_RDONLY)) return std::string();
  struct statvfs mount;
  if (fstatvfs(fd, &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0) return std::string();
  // A memfd that nobody can write any more. fcntl(2), F_GET_SEALS.
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals >= 0 && (seals & F_SEAL_WRITE) != 0) return std::string();
  if (!ChildMayWrite(fd, status, plan)) return std::string();

  char path[PATH_MAX];
  const ssize_t length = readlink(absl::StrCat("/proc/self/fd/", fd).c_str(), path, sizeof(path) - 1);
  if (length > 0) {
    path[length] = '\0';
    struct stat named;
    if (path[0] == '/' && stat(path, &named) == 0 && named.st_dev == status.st_dev && named.st_ino == status.st_ino) {
      return std::string(path);
    }
  }
  return absl::FailedPreconditionError(
      absl::StrCat(name, ": a file for reading that the child's id may write, and which has no path by which it could be "
                         "opened read-only (deleted, or out of sight); give it a path, or pass its content by a pipe"));
}

}  // namespace brood
