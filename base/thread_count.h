#ifndef BROOD_BASE_THREAD_COUNT_H_
#define BROOD_BASE_THREAD_COUNT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace brood {

// How many threads this process has now, without those that have left its code for good: one that was joined may still be on
// its way through the kernel. Errors: what opening /proc/self/task gives.
absl::StatusOr<int> ThreadCount();

// Whether the C library knows that this is the only thread, without asking the kernel. False: there may be others.
bool IsKnownToBeAlone();

// The names of these threads, without that of the first one, which is the process's: "worker (thread 4711)".
absl::StatusOr<std::vector<std::string>> OtherThreads();

}  // namespace brood

#endif  // BROOD_BASE_THREAD_COUNT_H_
