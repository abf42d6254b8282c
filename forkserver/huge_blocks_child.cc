#include "forkserver/huge_blocks_child.h"

#include <sys/syscall.h>

#include "base/raw_syscall_child.h"

namespace brood::child {
namespace {

constexpr int kCollapse = 25;  // MADV_COLLAPSE, of Linux 6.1, which older headers lack. madvise(2)

}  // namespace

bool MakeHuge(int fd, void* address, size_t length, uint64_t offset) {
  // The kernel refuses to collapse a block in which there is no page at all: EINVAL, though madvise(2) does not say so.
  for (size_t at = 0; at < length; at += kHugeBlock) {
    if (RawSyscall(SYS_pwrite64, fd, "", uint64_t{1}, uint64_t{offset + at}) != 1) return false;
  }
  return RawSyscall(SYS_madvise, address, uint64_t{length}, kCollapse) == 0;
}

}  // namespace brood::child
