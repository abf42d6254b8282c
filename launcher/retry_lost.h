// Starting again what was lost with its server: ContextOptions::retry_lost.
#ifndef BROOD_LAUNCHER_RETRY_LOST_H_
#define BROOD_LAUNCHER_RETRY_LOST_H_

#include "absl/status/statusor.h"
#include "launcher/context_options.h"
#include "launcher/process.h"

namespace brood::internal {

// Whether a start was lost, or its child, whose end it waits for: the server that should bear it, or what had it, was killed.
bool IsLost(absl::StatusOr<Process>& process);

// Before it is started again: waits until somebody listens at the socket of `context`, at most server_timeout. Without one, until
// the forkserver has ended that was killed, as far as there is one, which takes a moment after it was lost.
void AwaitServer(const ContextOptions& context);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_RETRY_LOST_H_
