#include <unistd.h>

#include <cerrno>

#include "base/raw_syscall_child.h"

namespace brood::child {

// Writes errno, which nobody reads, and the linker's table when it is first called, which would be found again: users of this
// lose writes, and may lose these.
long RawSyscall6(long number, long a, long b, long c, long d, long e, long f) {
  const long result = syscall(number, a, b, c, d, e, f);
  return result == -1 ? -errno : result;
}

}  // namespace brood::child
