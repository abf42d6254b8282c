#include "launcher/slot_folders_child.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/child_safe.h"
#include "sandbox/mounts_child.h"

namespace brood::child {

bool OpenMade(const MountStep& step, FoldersInMemory* memory, int* fds, int* count, SetupMessage* failure) {
  char path[4096];
  CopyText(path, sizeof(path), step.target);
  const bool directory = step.kind == MountStep::Kind::kDirectory;
  if (!directory) {
    char* const slash = strrchr(path, '/');
    if (slash == nullptr) return true;  // In the root, which is read-only.
    *slash = '\0';
  }
  int at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | (directory ? O_NOFOLLOW : 0));
  // What cannot be left out fails the set-up before; of an optional one there is nothing.
  if (at < 0) return true;
  for (bool first = true;; first = false) {
    struct stat about = {};
    const bool looked = fstat(at, &about) == 0;
    const bool is_new = looked && memory->IsIn(about.st_dev) && !memory->Has(about);
    if (looked && first && !directory && !IsMount(step) && memory->IsIn(about.st_dev)) {
      close(at);
      return Fail(failure, "slot", EINVAL, "a file or a link in memory, which a child could change, cannot be in a sandbox that is kept: /", step.target);
    }
    if (!is_new) {
      close(at);
      return looked || Fail(failure, "slot", errno, "stat above ", step.target);
    }
    const int folder = *count < kMaxPassedFds ? openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    const int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    close(at);
    if (folder >= 0) fds[(*count)++] = folder;
    if (folder < 0 || !memory->Add(folder) || up < 0) {
      if (up >= 0) close(up);
      return Fail(failure, "slot", errno, "open what is made in memory for ", step.target);
    }
    at = up;
  }
}

}  // namespace brood::child
