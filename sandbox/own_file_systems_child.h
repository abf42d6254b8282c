// Places in the root that is being built: found without leaving it, and made only where the launch has made the file system.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_OWN_FILE_SYSTEMS_CHILD_H_
#define BROOD_SANDBOX_OWN_FILE_SYSTEMS_CHILD_H_

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "base/setup_message.h"

namespace brood::child {

inline constexpr size_t kMaxPath = 4096;
inline constexpr size_t kMaxOwnFileSystems = 64;

// The file systems that this launch made itself. Only in them may directories and files be created: a mount point that
// is missing inside a bind of the host would otherwise be created on the host (CVE-2026-87766 of bubblewrap).
struct OwnFileSystems {
  dev_t devices[kMaxOwnFileSystems];
  size_t count = 0;
  bool shows_writable = false;  // A directory of the host that others may have written to.
  bool shows_all = false;       // The host's root, whose links are the machine's own.

  bool Has(dev_t device) const {
    for (size_t i = 0; i < count; ++i) {
      if (devices[i] == device) return true;
    }
    return false;
  }
  bool Add(int fd) {
    struct stat status;
    if (count == kMaxOwnFileSystems || fstat(fd, &status) != 0) return false;
    devices[count++] = status.st_dev;
    return true;
  }
  // Of what is shown of the host, or has changes that are kept there.
  void Show(int mount, uint64_t attributes) {
    struct stat status;
    if (shows_all) return;
    if ((attributes & MOUNT_ATTR_RDONLY) == 0 && (fstat(mount, &status) != 0 || S_ISDIR(status.st_mode))) shows_writable = true;
  }
};

// -1 with errno.
int OpenInRoot(int root, const char* path, uint64_t flags);

// `target` without the links on its way, as it is to be looked up below. False with errno: ELOOP for one that an earlier child may have
// put there, in a directory of the host that may be written to, since it would choose what of this child's root is covered;
// ENOENT for one that leads to what is not there yet. Where no such directory is shown links stay in it.
bool ResolvePlace(int root, const OwnFileSystems& own, const char* target, char (&place)[kMaxPath]);

// The same of the directory that `target` is to be made in.
bool ResolveParent(int root, const OwnFileSystems& own, const char* target, char (&place)[kMaxPath]);

// Opens the parent directory of a place, making what is missing, and leaves the last component in `last`. -1 with errno.
int OpenParent(int root, const OwnFileSystems& own, const char* place, const char** last);

// Opens the place where something is to be mounted, making an empty directory or file if it is missing. -1 with `failure`.
int OpenMountPoint(int root, const OwnFileSystems& own, const char* target, bool directory, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_SANDBOX_OWN_FILE_SYSTEMS_CHILD_H_
