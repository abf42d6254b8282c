// Whether this program's main function has called Bootstrap (bootstrap/bootstrap.h). Else its executable, run again
// as a child or a helper, would be a second main program.
#ifndef BROOD_BASE_BOOTSTRAPPED_H_
#define BROOD_BASE_BOOTSTRAPPED_H_

#include <atomic>

namespace brood::internal {

inline std::atomic<bool> g_bootstrapped = false;  // Set by Bootstrap only.

}  // namespace brood::internal

#endif  // BROOD_BASE_BOOTSTRAPPED_H_
