// Files that Bazel built for this program: in NAME.runfiles beside it, also under `bazel run` and as a test's data.
#ifndef BROOD_CLI_RUNFILES_H_
#define BROOD_CLI_RUNFILES_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace brood {

// The absolute path of a directory of the tree, "tests/programs/bin". Errors: NotFound naming the places looked at.
absl::StatusOr<std::string> RunfilesDirectory(std::string_view path);

}  // namespace brood

#endif  // BROOD_CLI_RUNFILES_H_
