// Random bytes that nobody can foresee, from the kernel. Safe after a fork: no state in this process.
#ifndef BROOD_BASE_RANDOM_H_
#define BROOD_BASE_RANDOM_H_

#include <cstddef>

#include "absl/status/status.h"

namespace brood {

// Fills `size` bytes. Waits, early after the machine's start, until the kernel has entropy. May be called from any
// thread. Errors: Unimplemented (a filter that forbids getrandom(2)).
absl::Status FillRandom(void* data, size_t size);

}  // namespace brood

#endif  // BROOD_BASE_RANDOM_H_
