// For policy.cc only.
#ifndef BROOD_CLI_FILTER_LISTING_H_
#define BROOD_CLI_FILTER_LISTING_H_

#include <string>

#include "absl/status/statusor.h"
#include "sandbox/policy.h"

namespace brood {

// The instructions of the policy's system call filter. Errors: those of CompileFilter; Unimplemented (Windows).
absl::StatusOr<std::string> FilterListing(const Policy& policy);

}  // namespace brood

#endif  // BROOD_CLI_FILTER_LISTING_H_
