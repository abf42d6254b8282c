#include <cerrno>

#include "forkserver/keeper_child.h"

extern "C" int brood_begin_child(void* order) { return brood::child::BeginChild(order); }

extern "C" long brood_clone_into(const void*, size_t, void*, uint64_t) { return -ENOSYS; }  // Slots are for x86-64.
