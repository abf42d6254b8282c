// The seam between the typed start methods (context.h) and the one way in which a child is born (launch_linux.cc).
// Not for users of the library.
#ifndef BROOD_LAUNCHER_LAUNCH_INTERNAL_H_
#define BROOD_LAUNCHER_LAUNCH_INTERNAL_H_

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "launcher/launch_options.h"
#include "launcher/launch_record.h"
#include "launcher/launch_target.h"
#include "launcher/process.h"

namespace brood {
// Has somebody else fork the guardian, from a copy of the record. Its target is a function.
using ForkElsewhere = std::function<absl::Status(const LaunchRecord& record)>;

// As Process::Launch, for any target. Without `fork` the guardian is a fork of this process.
absl::StatusOr<Process> LaunchInternal(const LaunchOptions& options, const internal::LaunchTarget& target,
                                       const ForkElsewhere& fork = nullptr);

namespace internal {

// What `process`, a function, returns will be in `result`, and of so many bytes at most. Before anybody waits for it.
void ExpectResult(Process& process, UniqueFd result, uint64_t max_result_bytes);

// Waits until the function that `process` was made for runs. Errors: those of Process::Start.
absl::Status AwaitFunction(Process& process);

// Waits until `process`, whose guardian somebody else forks, has one, or has ended; false if `timeout` has passed first.
bool AwaitGuardian(Process& process, absl::Duration timeout);

}  // namespace internal

}  // namespace brood

#endif  // BROOD_LAUNCHER_LAUNCH_INTERNAL_H_
