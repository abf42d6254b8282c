// What of the code that a server has mapped no child of its runs (warm.h). Whatever the server or a keeper runs once maps it again,
// 16 pages at a time, and each fork from then on copies their entries, a tenth of a microsecond each.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_FORKSERVER_COLD_MEMORY_CHILD_H_
#define BROOD_FORKSERVER_COLD_MEMORY_CHILD_H_

#include <cstddef>

namespace brood::child {

// Pages of files that this process has not written to.
struct ColdMemory {
  static constexpr size_t kMaxRanges = 255;
  struct Range {
    char* begin = nullptr;
    size_t size = 0;
  };

  size_t count = 0;
  Range ranges[kMaxRanges];
};
static_assert(sizeof(ColdMemory) <= 4096);

// Unmaps all of it until somebody reads it again. Whoever shares the memory may run at the same time. What has been written there
// since, by a debugger perhaps, is lost.
void ForgetCold(const ColdMemory& cold);

}  // namespace brood::child

#endif  // BROOD_FORKSERVER_COLD_MEMORY_CHILD_H_
