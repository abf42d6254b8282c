// Which mappings of a process can be frozen, and why the others cannot.
#ifndef BROOD_FORKSERVER_FREEZE_PLAN_H_
#define BROOD_FORKSERVER_FREEZE_PLAN_H_

#include <cstdint>
#include <memory_resource>
#include <string_view>
#include <vector>

#include "forkserver/freeze.h"
#include "forkserver/move_pages_child.h"
#include "forkserver/smaps.h"

namespace brood::internal {

// The names of our own files in /proc/PID/maps.
inline constexpr char kFrozenName[] = "brood-frozen";
inline constexpr char kArenaName[] = "brood-preload";
bool IsFrozen(const Mapping& mapping);

struct FreezePlan {
  explicit FreezePlan(std::pmr::memory_resource* memory) : moved(memory), left(memory) {}
  struct Left {
    const Mapping* mapping = nullptr;
    const char* reason = nullptr;
  };
  std::pmr::vector<child::MovedMapping> moved;
  std::pmr::vector<Left> left;
  uint64_t file_bytes = 0;
};

// Neighbours that are views of one file, of which one is executable and none writable.
struct CodeRun {
  uintptr_t start = 0;
  uintptr_t end = 0;
  size_t mappings = 0;
};
// Those that become one mapping when they get the same protection: for kCodeWithConstants, when that is all that happens to
// them; for kCodeIntoFile, when they are moved, too.
std::pmr::vector<CodeRun> FindCodeRuns(const std::pmr::vector<Mapping>& mappings, FreezeOptions::Coalesce coalesce,
                                       std::pmr::memory_resource* memory);

// Why `mapping` cannot be frozen, or null. `stack` is an address of the stack that freezes.
const char* ReasonToLeave(const Mapping& mapping, uintptr_t stack, const FreezeOptions& options);

// The mappings with memory of their own are moved or left; others are neither, as they cost a fork nothing, unless they are
// of `code`, for kCodeIntoFile. Uses no memory but that of `memory`.
FreezePlan PlanFreeze(const std::pmr::vector<Mapping>& mappings, const std::pmr::vector<CodeRun>& code, uintptr_t stack,
                      const FreezeOptions& options, std::pmr::memory_resource* memory);

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_FREEZE_PLAN_H_
