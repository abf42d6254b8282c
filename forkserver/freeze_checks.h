// What keeps a whole process from being frozen.
#ifndef BROOD_FORKSERVER_FREEZE_CHECKS_H_
#define BROOD_FORKSERVER_FREEZE_CHECKS_H_

#include "absl/status/status.h"

namespace brood::internal {

// Whether nobody but the calling thread can change this process's memory behind our back, and its allocator is one of which
// we know that it bears to be frozen. Errors: FailedPrecondition, which says what is in the way.
absl::Status CheckFreezable();

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_FREEZE_CHECKS_H_
