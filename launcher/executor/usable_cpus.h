#ifndef BROOD_LAUNCHER_EXECUTOR_USABLE_CPUS_H_
#define BROOD_LAUNCHER_EXECUTOR_USABLE_CPUS_H_

#include <cstddef>

namespace brood::internal {

// How many this process may use, at least 1.
size_t UsableCpus();

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_USABLE_CPUS_H_
