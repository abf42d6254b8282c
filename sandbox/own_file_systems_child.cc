#include "sandbox/own_file_systems_child.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sandbox/mount_api_child.h"
#include "sandbox/mounts_child.h"

namespace brood::child {

int OpenInRoot(int root, const char* path, uint64_t flags) {
  // RESOLVE_IN_ROOT: no symlink, absolute or with "..", leads out of the tree that is being built. openat2(2).
  return OpenAt2(root, path, flags | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int OpenParent(int root, const OwnFileSystems& own, const char* target, const char** last) {
  char path[kMaxPath];
  const size_t length = strlen(target);
  if (length >= sizeof(path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  const char* slash = strrchr(target, '/');
  *last = slash != nullptr ? slash + 1 : target;
  if (slash == nullptr) return OpenInRoot(root, ".", O_PATH | O_DIRECTORY);

  int directory = OpenInRoot(root, ".", O_PATH | O_DIRECTORY);
  for (size_t end = 0; directory >= 0 && target + end < slash;) {
    const char* next = strchr(target + end, '/');
    const size_t begin = end;
    end = static_cast<size_t>(next - target);
    memcpy(path, target, end);
    path[end] = '\0';
    int child = OpenInRoot(root, path, O_PATH | O_DIRECTORY);
    if (child < 0 && errno == ENOENT) {
      struct stat status;
      if (fstat(directory, &status) != 0 || !own.Has(status.st_dev)) {
        close(directory);
        errno = EROFS;
        return -1;
      }
      if (mkdirat(directory, path + begin, 0755) != 0 && errno != EEXIST) {
        const int saved = errno;
        close(directory);
        errno = saved;
        return -1;
      }
      child = OpenInRoot(root, path, O_PATH | O_DIRECTORY);
    }
    const int saved = errno;
    close(directory);
    errno = saved;
    directory = child;
    ++end;
  }
  return directory;
}

int OpenMountPoint(int root, const OwnFileSystems& own, const char* target, bool directory, SetupMessage* failure) {
  int fd = OpenInRoot(root, target, O_PATH);
  if (fd < 0 && errno == ENOENT) {
    const char* last = nullptr;
    const int parent = OpenParent(root, own, target, &last);
    struct stat status;
    if (parent < 0 || fstat(parent, &status) != 0 || !own.Has(status.st_dev)) {
      const int saved = parent < 0 ? errno : EROFS;
      if (parent >= 0) close(parent);
      Fail(failure, "mount", saved, "the mount point does not exist and brood creates none outside its own tmpfs: /",
           target);
      return -1;
    }
    int error = 0;
    if (directory) {
      if (mkdirat(parent, last, 0755) != 0 && errno != EEXIST) error = errno;
    } else {
      const int file = openat(parent, last, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0444);
      if (file < 0) error = errno;
      if (file >= 0) close(file);
    }
    close(parent);
    if (error != 0) {
      Fail(failure, "mount", error, "create mount point /", target);
      return -1;
    }
    fd = OpenInRoot(root, target, O_PATH);
  }
  if (fd < 0) {
    Fail(failure, "mount", errno, "open mount point /", target);
    return -1;
  }
  struct stat status;
  if (fstat(fd, &status) != 0 || S_ISDIR(status.st_mode) != directory) {
    Fail(failure, "mount", directory ? ENOTDIR : EISDIR, "source and mount point must both be directories or both files: /",
         target);
    close(fd);
    return -1;
  }
  return fd;
}

}  // namespace brood::child
