// Which directories in memory the keeper of a slot looks at after each child: those whose modes and times a child can change.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_SLOT_FOLDERS_CHILD_H_
#define BROOD_LAUNCHER_SLOT_FOLDERS_CHILD_H_

#include <sys/stat.h>

#include "base/setup_message.h"
#include "launcher/messages_child.h"
#include "sandbox/child_plan.h"

namespace brood::child {

// Those that are opened already.
struct FoldersInMemory {
  struct {
    dev_t device;
    ino_t number;
  } all[kMaxPassedFds];
  int count = 0;

  bool Add(int fd) {
    struct stat about = {};
    if (count == kMaxPassedFds || fstat(fd, &about) != 0) return false;
    all[count++] = {about.st_dev, about.st_ino};
    return true;
  }
  bool IsIn(dev_t device) const {
    for (int i = 0; i < count; ++i) {
      if (all[i].device == device) return true;
    }
    return false;
  }
  bool Has(const struct stat& about) const {
    for (int i = 0; i < count; ++i) {
      if (all[i].device == about.st_dev && all[i].number == about.st_ino) return true;
    }
    return false;
  }
};

// Opens, into `fds`, the directories in memory on the way to what is mounted or made at the step's place, links followed: they
// belong to the child. False with `failure`, too for a file or a link that is made in memory.
bool OpenMade(const MountStep& step, FoldersInMemory* memory, int* fds, int* count, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_SLOT_FOLDERS_CHILD_H_
