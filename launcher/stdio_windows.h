// The child's standard streams on Windows. For launcher/ only.
#ifndef BROOD_LAUNCHER_STDIO_WINDOWS_H_
#define BROOD_LAUNCHER_STDIO_WINDOWS_H_

#include "absl/status/status.h"
#include "base/unique_fd.h"
#include "launcher/launch_options.h"

namespace brood::internal {

struct PreparedStdio {
  UniqueFd child[3];     // Inheritable, for this launch alone.
  UniqueFd captured[2];  // Ours, of stdout and stderr.
};

// Errors: InvalidArgument (a kind that the stream cannot have), what opening a path gives.
absl::Status PrepareStdio(const LaunchOptions& options, PreparedStdio* out);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_STDIO_WINDOWS_H_
