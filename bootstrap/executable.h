// The program in which a spawned child, or a forkserver, finds the targets.
#ifndef BROOD_BOOTSTRAP_EXECUTABLE_H_
#define BROOD_BOOTSTRAP_EXECUTABLE_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood::internal {

// Opens `path` with O_PATH; if it is empty, this program. `step` stands before what an error says.
//
// Errors: FailedPrecondition (this program has not called Bootstrap, or was started as `ld.so PROGRAM`), InvalidArgument
// (no path), those of open(2).
absl::StatusOr<UniqueFd> OpenExecutable(std::string_view step, const std::string& path);

}  // namespace brood::internal

#endif  // BROOD_BOOTSTRAP_EXECUTABLE_H_
