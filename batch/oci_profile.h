// Seccomp profiles of Docker and of the OCI runtime specification, read as they are.
//
//   $ brood run --policy docker-default.json -- PROGRAM
//
// Both formats are read: "names" or the older "name", "archMap" or "architectures", with "includes" and "excludes" decided
// for a child of brood, which has no capabilities. The rest of the policy is that of `default`.
#ifndef BROOD_BATCH_OCI_PROFILE_H_
#define BROOD_BATCH_OCI_PROFILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "batch/json.h"
#include "sandbox/policy.h"

namespace brood {

// True for an object with a "defaultAction", which no policy of brood's own has.
bool IsOciProfile(const JsonValue& value);

// Errors: InvalidArgument `FILE:LINE: field "syscalls[3].action": expected ...`.
absl::StatusOr<Policy> PolicyFromOciProfile(const JsonValue& value, const std::string& file);

}  // namespace brood

#endif  // BROOD_BATCH_OCI_PROFILE_H_
