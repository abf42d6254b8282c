#include "forkserver/cold_memory_child.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/raw_syscall_child.h"

namespace brood::child {

void ForgetCold(const ColdMemory& cold) {
  for (size_t i = 0; i < cold.count; ++i) {
    RawSyscall(SYS_madvise, cold.ranges[i].begin, static_cast<uint64_t>(cold.ranges[i].size), MADV_DONTNEED);
  }
}

}  // namespace brood::child
