#include <sched.h>

#include <cerrno>

#include "forkserver/keeper_child.h"

extern "C" int brood_begin_child(void* order) { return brood::child::BeginChild(order); }

// The C library's writes two words above the child's stack, at a place of this keeper's. Its error is in errno, which another
// keeper may write to at the same time; who reads it reads another reason at worst.
extern "C" long brood_clone(uint64_t flags, void* stack, void* order, int* pidfd, int* tid) {
  const int pid = clone(brood_begin_child, stack, static_cast<int>(flags), order, pidfd, nullptr, tid);
  return pid < 0 ? -errno : pid;
}

extern "C" long brood_clone_into(const void*, size_t, void*, uint64_t) { return -ENOSYS; }  // Slots are for x86-64.
