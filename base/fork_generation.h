// Tells a process from the one that it is a fork of, also where both have the same number in their pid namespaces.
//
//   const uint64_t mine = ForkGeneration();      // When an object is made.
//   if (ForkGeneration() != mine) ...            // This is a copy in a child: its descriptors and locks mean nothing.
//
// Any fork counts, whoever made it, but not vfork or clone with CLONE_VM, which share the memory. Thread-safe.
#ifndef BROOD_BASE_FORK_GENERATION_H_
#define BROOD_BASE_FORK_GENERATION_H_

#include <cstdint>

namespace brood {

// Differs from the value of every ancestor by fork; never 0.
uint64_t ForkGeneration();

// The same, for a process that has just been forked: without a look first, which would cost a page fault of its own.
uint64_t BeginForkGeneration();

}  // namespace brood

#endif  // BROOD_BASE_FORK_GENERATION_H_
