// Moves memory of the running process into a file, in place. See freeze.h.
//
// While it runs, what is written to a page between its copy and its move is lost, so all here is on the stack, in memory that
// is not moved, or in the kernel. For a process with one thread, all signals blocked, that shares its memory with no other.
#ifndef BROOD_FORKSERVER_MOVE_PAGES_CHILD_H_
#define BROOD_FORKSERVER_MOVE_PAGES_CHILD_H_

#include <cstddef>
#include <cstdint>

#include "forkserver/huge_blocks_child.h"

namespace brood::child {

// One mapping, which is private.
struct MovedMapping {
  uintptr_t start = 0;
  uintptr_t end = 0;
  uint64_t offset = 0;  // In the file, of `start`; both leave the same rest when divided by kHugeBlock.
  int protection = 0;
  bool no_reserve = false;  // As MAP_NORESERVE.
  bool from_file = false;   // What has no page yet is in that file, rather than zeros.
  int advice[3] = {-1, -1, -1};  // For madvise(2), again: a new mapping has none. -1: nothing.
  size_t size() const { return end - start; }
  // Whether the kernel makes one mapping of both where they are neighbours.
  bool JoinsWith(const MovedMapping& other) const {
    return protection == other.protection && no_reserve == other.no_reserve && advice[0] == other.advice[0] &&
           advice[1] == other.advice[1] && advice[2] == other.advice[2];
  }
  int error = 0;  // Result. An errno value: what was not moved by then stays.
};

struct MovePages {
  int file = -1;
  int pagemap = -1;  // /proc/self/pagemap
  size_t page_size = 0;
  MovedMapping* mappings = nullptr;
  size_t count = 0;
  bool huge = false;  // Where at least half of a block is in use.
  // Addresses for us, a multiple of kHugeBlock, and memory for one entry for each page of as many bytes.
  char* window = nullptr;
  uint64_t* entries = nullptr;

  uint64_t moved_bytes = 0;  // Of addresses.
  uint64_t copied_bytes = 0;
  uint64_t huge_bytes = 0;
};

constexpr size_t kMoveWindow = size_t{64} << 20;  // So much is there twice meanwhile.

// Does not return if the kernel has taken a page away and does not put the new one in its place.
void MoveIntoFile(MovePages* work);

// The thread's rseq area, which the kernel writes to at any time: what it writes must not be lost. rseq(2)
struct RseqArea {
  void* address = nullptr;  // Null: none is registered.
  uint32_t length = 0;
  uint32_t signature = 0;
};
bool Unregister(const RseqArea& area);
bool Register(const RseqArea& area);

}  // namespace brood::child

#endif  // BROOD_FORKSERVER_MOVE_PAGES_CHILD_H_
