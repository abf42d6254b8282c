// Whether one policy's filter lets through no more than another's. For ceiling.cc.
#ifndef BROOD_SANDBOX_CEILING_SYSCALLS_H_
#define BROOD_SANDBOX_CEILING_SYSCALLS_H_

#include "absl/status/status.h"
#include "sandbox/policy.h"

namespace brood::internal {

// Errors: PermissionDenied naming the system call, InvalidArgument (a group that there is not).
absl::Status CheckSyscalls(const Policy& ceiling, const Policy& asked);

}  // namespace brood::internal

#endif  // BROOD_SANDBOX_CEILING_SYSCALLS_H_
