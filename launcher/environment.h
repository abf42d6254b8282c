// The child's environment, where its program may be, and where it starts.
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

// The path of the current directory for a child with its own root: `asked`, from the caller's current directory if it is
// relative, and that directory itself if it is empty. Under the name that the policy shows, if the caller came to it by a
// symbolic link. Errors: FailedPrecondition (a relative path, and the caller's directory is gone).
absl::StatusOr<std::string> ChildDirectory(const std::string& asked, const Policy& policy);

}  // namespace brood

#endif  // BROOD_LAUNCHER_ENVIRONMENT_H_
