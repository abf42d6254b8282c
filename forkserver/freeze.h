// Moves the memory of a running process into a sealed file, in place, so that a fork of it costs the same with a preloaded
// GiB as with nothing.
//
//   ... preload ...
//   BROOD_ASSIGN_OR_RETURN(const FreezeReport report, FreezeProcess({}));
//   ... fork ...
//
// fork(2) copies the page tables of memory that only they know: 512 of them for a GiB. A private view of a file can be rebuilt
// from the file, so it copies none. FreezeProcess writes what is there - heap, data, what the loader has relocated - to a
// memory file, maps that at the same addresses and seals it; who writes, in a child or here, gets a page of its own as after
// any fork. Nothing that a program can see by reading and writing changes. What it can see otherwise is in docs/freeze.md; in
// short: MADV_DONTNEED gives back what was frozen and not zeros, and core dumps leave out what was not written since.
//
// For a process that then does little but fork: what it writes to itself makes fork copy tables again, see ReadFrozenTaint. For
// data that you allocate yourself, PreloadArena does the same with none of the hazards.
#ifndef BROOD_FORKSERVER_FREEZE_H_
#define BROOD_FORKSERVER_FREEZE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace brood {

struct FreezeOptions {
  enum class HugePages {
    kWherePaying,  // In blocks of 2 MiB of which half is in use, and if the kernel has them.
    kNever,
  };
  HugePages huge_pages = HugePages::kWherePaying;
  // A library is a mapping for its code and two for its constants, each of which a fork copies.
  enum class Coalesce {
    kNever,
    // One for all three. Constants can be executed then, though still not written to.
    kCodeWithConstants,
    // One for these and for constants that the loader has relocated, in the memory file: whoever looks for the file that code
    // is in, as stack traces, profilers and debuggers do, does not find it.
    kCodeIntoFile,
  };
  Coalesce coalesce = Coalesce::kNever;
  // Memory that this process goes on writing to, and that is not to be moved: the whole mapping in which it lies.
  struct Region {
    const void* address = nullptr;
    size_t bytes = 0;
  };
  std::vector<Region> keep;
};

struct FreezeReport {
  // What has memory of its own and was left as it is.
  struct Left {
    uintptr_t start = 0;
    uintptr_t end = 0;
    std::string name;  // As in /proc/PID/maps; empty for anonymous memory.
    std::string reason;
  };
  uint64_t moved_bytes = 0;   // Of addresses.
  uint64_t copied_bytes = 0;  // Of these, what held something.
  uint64_t huge_bytes = 0;    // Of these, in huge pages.
  size_t mappings_before = 0;
  size_t mappings_after = 0;  // Neighbours that were frozen with the same protection are one.
  size_t coalesced = 0;       // Mappings that have become part of their neighbour, as asked for.
  std::vector<Left> left;
  absl::Duration time;

  // "froze 1.0 GiB in 0.4 s, 1.0 GiB in huge pages; left [stack]: grows down".
  std::string ToString() const;
};

// Freezes the calling process. May be called again after more was preloaded: what is frozen already stays where it is, unless
// an eighth of it has been written since.
//
// Errors: FailedPrecondition (another thread, or process, uses this memory; io_uring, AIO, userfaultfd or a device may write to
//   it; malloc is not glibc's; there is a sanitizer; RLIMIT_FSIZE), ResourceExhausted (addresses, descriptors), or those of
//   reading /proc/self: the process is as it was. That there is not enough memory for a part is no error: it is `left`.
absl::StatusOr<FreezeReport> FreezeProcess(const FreezeOptions& options);

// What has been written to frozen memory, and preload arenas, by this process or one that it was forked from.
struct FrozenTaint {
  struct Mapping {
    uintptr_t start = 0;
    uintptr_t end = 0;
    uint64_t written_bytes = 0;
  };
  std::vector<Mapping> mappings;  // All that are frozen.
  uint64_t frozen_bytes = 0;
  uint64_t written_bytes = 0;
};
absl::StatusOr<FrozenTaint> ReadFrozenTaint();

}  // namespace brood

#endif  // BROOD_FORKSERVER_FREEZE_H_
