#include <windows.h>

#include <algorithm>
#include <bit>
#include <cstdint>

#include "batch/scheduler.h"

namespace brood {

int AvailableCpus() {
  DWORD_PTR own = 0;
  DWORD_PTR all = 0;
  // Both are 0 for a process in several processor groups, so with more than 64 CPUs. GetProcessAffinityMask.
  if (GetProcessAffinityMask(GetCurrentProcess(), &own, &all) && own != 0) return std::popcount(uint64_t{own});
  return std::max(1, static_cast<int>(GetActiveProcessorCount(ALL_PROCESSOR_GROUPS)));
}

}  // namespace brood
