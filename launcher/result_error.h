// What a function threw or returned instead of a value, as its caller gets it.
#ifndef BROOD_LAUNCHER_RESULT_ERROR_H_
#define BROOD_LAUNCHER_RESULT_ERROR_H_

#include "absl/status/status.h"
#include "serialization/messages.h"

namespace brood::internal {

// The function's own status, or Unknown with "TYPE: MESSAGE" for an exception: see Process::Result.
absl::Status ErrorOf(const ResultError& error);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_RESULT_ERROR_H_
