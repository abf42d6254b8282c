// The seam between the typed start methods (context.h) and the one way in which a child is born (launch_linux.cc).
// Not for users of the library.
#ifndef BROOD_LAUNCHER_LAUNCH_INTERNAL_H_
#define BROOD_LAUNCHER_LAUNCH_INTERNAL_H_

#include <functional>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "launcher/launch_options.h"
#include "launcher/launch_record.h"
#include "launcher/launch_target.h"
#include "launcher/process.h"
#include "launcher/process_state.h"

namespace brood {

namespace internal {

class ChildLink;

}  // namespace internal

// Has somebody else fork the guardian, from a copy of the record. Its target is a function.
using ForkElsewhere = std::function<absl::Status(const LaunchRecord& record)>;

// For a program in a slot of that plan, whose streams need nobody to pass them on: a keeper of this process's own, which has its
// order from what ForkElsewhere does next. Null: there is none.
using LeaseKeeper = std::function<std::unique_ptr<internal::ChildLink>(std::string_view slot)>;

namespace internal {

struct ClientBirth;
struct RemoteFunction;

}  // namespace internal

// As Process::Launch, for any target. Without `fork` the guardian is a fork of this process, which has `birth`, if that is given.
absl::StatusOr<Process> LaunchInternal(const LaunchOptions& options, const internal::LaunchTarget& target,
                                       const ForkElsewhere& fork = nullptr, const internal::ClientBirth* birth = nullptr,
                                       const LeaseKeeper& lease = nullptr);

namespace internal {

// As LaunchInternal, of a function, by LaunchOptions::server.
absl::StatusOr<Process> LaunchFunctionOnServer(const LaunchOptions& options, const RemoteFunction& function);

// Waits until `process`, whose guardian somebody else forks, has one, or has ended; false if `timeout` has passed first.
bool AwaitGuardian(Process& process, absl::Duration timeout);

}  // namespace internal

}  // namespace brood

#endif  // BROOD_LAUNCHER_LAUNCH_INTERNAL_H_
