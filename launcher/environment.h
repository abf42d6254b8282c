// The child's environment and where its program may be.
#ifndef BROOD_LAUNCHER_ENVIRONMENT_H_
#define BROOD_LAUNCHER_ENVIRONMENT_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "sandbox/policy.h"

namespace brood {

// "K=V" entries in no particular order, each name once. Errors: InvalidArgument (an entry without a name).
absl::StatusOr<std::vector<std::string>> MakeEnvironment(EnvironmentBase base, const std::vector<std::string>& changes);

// The paths at which `program` is to be tried, by the PATH in `environment`, as execvp(3) does it.
std::vector<std::string> ProgramCandidates(const std::string& program, const std::vector<std::string>& environment);

}  // namespace brood

#endif  // BROOD_LAUNCHER_ENVIRONMENT_H_
