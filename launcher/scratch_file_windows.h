// A file that nobody else finds or opens, and that is gone with its last handle: for results, captured output and messages
// that are larger than a pipe. Windows has no memory that is a file.
//
// Windows only.
#ifndef BROOD_LAUNCHER_SCRATCH_FILE_WINDOWS_H_
#define BROOD_LAUNCHER_SCRATCH_FILE_WINDOWS_H_

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood::internal {

// In the folder for temporary files, empty, at its beginning. Errors: what the system says.
absl::StatusOr<UniqueFd> ScratchFile();

// From the beginning again. False if it cannot be.
bool Rewind(int file);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_SCRATCH_FILE_WINDOWS_H_
