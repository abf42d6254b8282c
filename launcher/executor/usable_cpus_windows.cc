#include <windows.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <thread>

#include "launcher/executor/usable_cpus.h"

namespace brood::internal {

size_t UsableCpus() {
  DWORD_PTR own = 0;
  DWORD_PTR all = 0;
  // Both are 0 for a process that has threads in several groups of 64. GetProcessAffinityMask, "Remarks".
  if (!GetProcessAffinityMask(GetCurrentProcess(), &own, &all) || own == 0) {
    return std::max(1u, std::thread::hardware_concurrency());
  }
  return static_cast<size_t>(std::popcount(uint64_t{own}));
}

}  // namespace brood::internal
