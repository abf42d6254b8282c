// The access token of a child: made, then read back, in the token and in the child.
//
// Windows only. Thread-safe.
#ifndef BROOD_SANDBOX_TOKEN_WINDOWS_H_
#define BROOD_SANDBOX_TOKEN_WINDOWS_H_

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "sandbox/windows_plan.h"

namespace brood {

// This process's token with less in it, for CreateProcessAsUserW. Errors: what the system says.
absl::StatusOr<UniqueFd> MakeToken(const TokenLimits& limits);

// What is in `token`: kCapabilities for the privileges, kNoNewPrivs for the integrity level.
LayerChecks CheckToken(int token, const TokenLimits& limits);

// Likewise the token with which `process` runs.
LayerChecks CheckTokenOf(int process, const TokenLimits& limits);

// Makes one and looks at it: whether this machine does. A refusal is one of each layer.
LayerChecks ProbeToken(const TokenLimits& limits);

}  // namespace brood

#endif  // BROOD_SANDBOX_TOKEN_WINDOWS_H_
