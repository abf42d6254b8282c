// The seam between the typed start methods (context.h) and the one way in which a child is born (launch_linux.cc).
// Not for users of the library.
#ifndef BROOD_LAUNCHER_LAUNCH_INTERNAL_H_
#define BROOD_LAUNCHER_LAUNCH_INTERNAL_H_

#include "absl/status/statusor.h"
#include "launcher/launch_options.h"
#include "launcher/launch_target.h"
#include "launcher/process.h"

namespace brood {
// As Process::Launch, for any target.
absl::StatusOr<Process> LaunchInternal(const LaunchOptions& options, const internal::LaunchTarget& target);

// Waits until the target of `process` runs. Errors: that of Process::Start.
absl::Status AwaitStarted(Process& process);

}  // namespace brood

#endif  // BROOD_LAUNCHER_LAUNCH_INTERNAL_H_
