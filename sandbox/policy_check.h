// What must be true of a policy on any machine.
#ifndef BROOD_SANDBOX_POLICY_CHECK_H_
#define BROOD_SANDBOX_POLICY_CHECK_H_

#include "absl/status/status.h"
#include "sandbox/policy.h"

namespace brood {

// Whether the parts of `policy` fit together, and each limit is one with which something can start.
// Errors: InvalidArgument, naming the field and what it needs.
absl::Status CheckPolicy(const Policy& policy);

}  // namespace brood

#endif  // BROOD_SANDBOX_POLICY_CHECK_H_
