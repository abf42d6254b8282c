// The targets that there are, for `brood call --list`.
#ifndef BROOD_CLI_CALL_LIST_H_
#define BROOD_CLI_CALL_LIST_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "batch/process_runner.h"

namespace brood {

using TargetLine = std::pair<std::string, std::string>;  // Name and signature.

// Without those of brood's own.
std::vector<TargetLine> TargetsOfProgram();

// Loads the plugin in a sandboxed child, since that runs its code. What it prints then is not shown.
//
// Errors: those of ProcessRunner::PolicyOf and Context::CallByName; NotFound (it has none); Aborted (it ended the child).
absl::StatusOr<std::vector<TargetLine>> TargetsOfPlugin(const std::string& path, const JobDefaults& defaults);

}  // namespace brood

#endif  // BROOD_CLI_CALL_LIST_H_
