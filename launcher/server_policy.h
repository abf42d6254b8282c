// What a `brood serve` lets its clients do.
#ifndef BROOD_LAUNCHER_SERVER_POLICY_H_
#define BROOD_LAUNCHER_SERVER_POLICY_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "sandbox/policy.h"

namespace brood {

// What the server lets its clients do at most, and what a child has whose request says nothing else.
//
// Errors: NotFound (no such socket), FailedPrecondition (nobody listens there any more), PermissionDenied (this user is not
//   served, or another user's server), DeadlineExceeded (it says nothing), Unimplemented (Windows).
absl::StatusOr<Policy> PolicyOfServer(const std::string& path, std::optional<uint32_t> server_uid = {});

}  // namespace brood

#endif  // BROOD_LAUNCHER_SERVER_POLICY_H_
