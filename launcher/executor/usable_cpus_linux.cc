#include <sched.h>

#include <algorithm>
#include <thread>

#include "launcher/executor/usable_cpus.h"

namespace brood::internal {

size_t UsableCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // A machine with more CPUs than the set has places gives EINVAL. sched_getaffinity(2).
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return std::max(1u, std::thread::hardware_concurrency());
  return static_cast<size_t>(std::max(CPU_COUNT(&set), 1));
}

}  // namespace brood::internal
