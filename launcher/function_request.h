// What a start of a function comes down to, whatever the method and the system.
#ifndef BROOD_LAUNCHER_FUNCTION_REQUEST_H_
#define BROOD_LAUNCHER_FUNCTION_REQUEST_H_

#include "absl/status/status.h"
#include "ipc/auth_key.h"
#include "launcher/function_start.h"
#include "launcher/launch_options.h"
#include "serialization/messages.h"

namespace brood::internal {

// Errors: FailedPrecondition (a daemon that starts functions), NotFound (the target), InvalidArgument (large arguments).
absl::Status CheckFunction(const FunctionStart& start, const LaunchOptions& options);

PreparationData MakePreparation(const FunctionStart& start, const LaunchOptions& options, const AuthKey& key);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_FUNCTION_REQUEST_H_
