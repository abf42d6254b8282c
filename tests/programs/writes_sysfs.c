// Opens a writable file of sysfs, and the control files of the cgroup hierarchies.
#include <fcntl.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) {
  static const char* const kPaths[] = {"/sys/kernel/uevent_seqnum", "/sys/fs/cgroup/cgroup.procs",
                                       "/sys/fs/cgroup/memory/cgroup.procs", "/sys/fs/cgroup/unified/cgroup.procs"};
  int code = kRefused;
  for (unsigned i = 0; i < sizeof kPaths / sizeof kPaths[0]; ++i) code &= Attempt(kPaths[i], open(kPaths[i], O_WRONLY));
  return code;
}
