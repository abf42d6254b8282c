// From whom a process descends.
#ifndef BROOD_SERVE_ANCESTORS_H_
#define BROOD_SERVE_ANCESTORS_H_

#include <sys/types.h>

#include <vector>

#include "absl/status/statusor.h"

namespace brood::internal {

enum class HiddenStranger {
  kIsAnError,
  kEndsTheList,  // Who is hidden and may not be signalled by this process: where that says that it is none of ours, nor what is above.
};

// `pid` and those above it, the nearest first, up to the first process of all, or of this pid namespace; what orphans have is their
// subreaper. Only as true as the process lives on.
//
// Errors: Unavailable (they end faster than they can be looked at), FailedPrecondition (/proc does not show one of them: hidepid),
// ResourceExhausted (more than 4,096), those of open(2). Who they are is not known then, not even in part: what is above one that has
// ended may be what matters.
absl::StatusOr<std::vector<pid_t>> AncestorsOf(pid_t pid, HiddenStranger stranger);

}  // namespace brood::internal

#endif  // BROOD_SERVE_ANCESTORS_H_
