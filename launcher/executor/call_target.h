// A call as a worker makes it: of a target that is named, with arguments as they travelled. Not for users.
#ifndef BROOD_LAUNCHER_EXECUTOR_CALL_TARGET_H_
#define BROOD_LAUNCHER_EXECUTOR_CALL_TARGET_H_

#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "bootstrap/registry.h"
#include "serialization/messages.h"
#include "serialization/wire.h"

namespace brood::internal {

// Errors: NotFound, FailedPrecondition (two of that name), InvalidArgument (other types).
absl::StatusOr<const TargetEntry*> FindTargetAs(std::string_view name, std::string_view signature);

// Calls the target with the arguments that `arguments` begins with. The value is written to `value`, unless there is an
// error. What ends a worker in order (brood::Exit, pthread_exit) is thrown on.
std::optional<ResultError> CallTarget(const TargetEntry& entry, WireReader arguments, WireWriter& value);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_CALL_TARGET_H_
