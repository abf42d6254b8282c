// The kernel's mount API as plain calls, which glibc 2.36 only has in part. Each returns -1 and sets errno.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_MOUNT_API_CHILD_H_
#define BROOD_SANDBOX_MOUNT_API_CHILD_H_

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace brood::child {

// Where the path is to stay below a directory and has "..", any rename or mount on the machine at this moment is EAGAIN, since the kernel
// cannot say whether it stayed there. Whoever makes them without a pause does not keep us for ever. openat2(2), "ERRORS"
inline int OpenAt2(int directory_fd, const char* path, const open_how& how) {
  constexpr int kAttempts = 1000;
  int fd = -1;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    fd = static_cast<int>(syscall(SYS_openat2, directory_fd, path, &how, sizeof(how)));
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return fd;
}

inline int OpenAt2(int directory_fd, const char* path, uint64_t flags, uint64_t resolve) {
  open_how how = {};
  how.flags = flags;
  how.resolve = resolve;
  return OpenAt2(directory_fd, path, how);
}

inline int OpenTree(int fd, const char* path, unsigned flags) {
  return static_cast<int>(syscall(SYS_open_tree, fd, path, flags));
}

inline int MoveMount(int from_fd, int to_fd, const char* to_path) {
  unsigned flags = MOVE_MOUNT_F_EMPTY_PATH;
  if (to_path[0] == '\0') flags |= MOVE_MOUNT_T_EMPTY_PATH;
  return static_cast<int>(syscall(SYS_move_mount, from_fd, "", to_fd, to_path, flags));
}

inline int MountSetattr(int fd, unsigned flags, const mount_attr& attributes) {
  return static_cast<int>(syscall(SYS_mount_setattr, fd, "", flags | AT_EMPTY_PATH, &attributes, sizeof(attributes)));
}

inline int FsOpen(const char* type) { return static_cast<int>(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC)); }

inline int FsConfigString(int fd, const char* key, const char* value) {
  return static_cast<int>(syscall(SYS_fsconfig, fd, FSCONFIG_SET_STRING, key, value, 0));
}

inline int FsConfigFlag(int fd, const char* key) {
  return static_cast<int>(syscall(SYS_fsconfig, fd, FSCONFIG_SET_FLAG, key, nullptr, 0));
}

inline int FsConfigCreate(int fd) {
  return static_cast<int>(syscall(SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0));
}

inline int FsMount(int fd, unsigned attributes) {
  return static_cast<int>(syscall(SYS_fsmount, fd, FSMOUNT_CLOEXEC, attributes));
}

}  // namespace brood::child

#endif  // BROOD_SANDBOX_MOUNT_API_CHILD_H_
