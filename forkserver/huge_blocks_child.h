// Huge pages for a memory file that is about to be filled. Child-safe, and changes no memory but the file's.
#ifndef BROOD_FORKSERVER_HUGE_BLOCKS_CHILD_H_
#define BROOD_FORKSERVER_HUGE_BLOCKS_CHILD_H_

#include <cstddef>
#include <cstdint>

namespace brood::child {

constexpr size_t kHugeBlock = size_t{2} << 20;  // Of x86-64, and of arm64 with pages of 4 KiB.

// Gives the blocks of `fd` that are mapped at `address`, shared, from `offset` on, huge pages that hold zeros. All three are
// multiples of kHugeBlock. Returns whether all blocks got one; where not, nothing is lost but speed.
//
// To be called before the content comes: collapsing what is full takes four seconds for a GiB, because each of its pages is
// copied, and filling huge pages is faster than filling small ones.
bool MakeHuge(int fd, void* address, size_t length, uint64_t offset);

}  // namespace brood::child

#endif  // BROOD_FORKSERVER_HUGE_BLOCKS_CHILD_H_
