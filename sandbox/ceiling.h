// What somebody may have who asks a server that has a policy of its own: that, or less.
//
//   BROOD_ASSIGN_OR_RETURN(const Policy policy, Tighten(ceiling, asked));
//
// Functions may be called from any thread.
#ifndef BROOD_SANDBOX_CEILING_H_
#define BROOD_SANDBOX_CEILING_H_

#include "absl/status/statusor.h"
#include "sandbox/policy.h"

namespace brood {

// `asked`, if it gives nothing that `ceiling` does not; a limit that it leaves open is the ceiling's, and so is one that only a
// built-in policy brought and that is higher. What cannot be compared counts as more: a rule for a system call is the
// ceiling's own, or stricter whatever the arguments; a file is shown by a rule that is the ceiling's own, but for `rw`, which
// may be dropped.
//
// Errors: PermissionDenied naming the field, what was asked for and what is allowed; InvalidArgument (rules that are none).
absl::StatusOr<Policy> Tighten(const Policy& ceiling, const Policy& asked);

}  // namespace brood

#endif  // BROOD_SANDBOX_CEILING_H_
