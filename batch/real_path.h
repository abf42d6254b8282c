// For function_job.cc only.
#ifndef BROOD_BATCH_REAL_PATH_H_
#define BROOD_BATCH_REAL_PATH_H_

#include <string>

#include "absl/status/statusor.h"

namespace brood::internal {

// Absolute, without links, "." and "..". Errors: those of realpath(3), GetFinalPathNameByHandle.
absl::StatusOr<std::string> RealPath(const std::string& path);

}  // namespace brood::internal

#endif  // BROOD_BATCH_REAL_PATH_H_
