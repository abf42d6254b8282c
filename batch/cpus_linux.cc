#include <sched.h>

#include <algorithm>

#include "batch/scheduler.h"

namespace brood {

int AvailableCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // Fails on machines with more than 1,024 CPUs only. sched_setaffinity(2).
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace brood
