// What is to be done for a child that is a function and not for one that is a program.
#ifndef BROOD_BATCH_FUNCTION_JOB_H_
#define BROOD_BATCH_FUNCTION_JOB_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "launcher/process.h"
#include "sandbox/policy.h"
#include "serialization/value.h"

namespace brood {

// A target as its child is to be told of it: that of a plugin by the plugin's real path; NAME stays as it is. Errors: those
// of realpath(3).
absl::StatusOr<std::string> ResolveTarget(const std::string& target);

// Whether there is such a target in this program, or such a plugin: what can be known without running its code. Errors:
// NotFound, InvalidArgument, those of ResolveTarget.
absl::Status CheckTarget(const std::string& target);

// Shows the plugin of a resolved target at its own path, read-only, unless the policy does. Who asked for the
// target asked for that; what lies beside the plugin stays hidden.
void ShowPlugin(const std::string& target, Policy& policy);

// Each a JSON text, for the child to read.
std::vector<TypedValue> JsonArguments(const std::vector<std::string>& texts);

// What an ended function returned, as JSON; nothing if it returned nothing, or did not end with exit code 0.
//
// Errors: those of Process::ResultValue and JsonText, for a child that ended well and left something else than a value.
absl::StatusOr<std::optional<std::string>> ReturnedJson(Process& process);

}  // namespace brood

#endif  // BROOD_BATCH_FUNCTION_JOB_H_
