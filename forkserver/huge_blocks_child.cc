#include "forkserver/huge_blocks_child.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace brood::child {
namespace {

constexpr int kCollapse = 25;  // MADV_COLLAPSE, of Linux 6.1, which Debian's older headers lack. madvise(2)

}  // namespace

bool MakeHuge(int fd, void* address, size_t length, uint64_t offset) {
  // The kernel refuses to collapse a block in which there is no page at all: EINVAL, though madvise(2) does not say so.
  for (size_t at = 0; at < length; at += kHugeBlock) {
    if (syscall(SYS_pwrite64, fd, "", 1, offset + at) != 1) return false;
  }
  return syscall(SYS_madvise, address, length, kCollapse) == 0;
}

}  // namespace brood::child
