// Starting again what was lost with its server: ContextOptions::retry_lost.
#ifndef BROOD_LAUNCHER_RETRY_LOST_H_
#define BROOD_LAUNCHER_RETRY_LOST_H_

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "launcher/context_options.h"
#include "launcher/outcome.h"
#include "launcher/process.h"

namespace brood::internal {

// Whether a start was lost, or its child, whose end the first waits for: the server that should bear it, or what had it, was killed.
bool IsLost(absl::StatusOr<Process>& process);
bool IsLost(const absl::StatusOr<Outcome>& outcome);

// Waits so long and gives whether to go on waiting. Called once, for no time, before there is anything to wait for.
using ServerPause = std::function<bool(absl::Duration)>;

// Before it is started again: waits until somebody listens at the socket of `context`, at most server_timeout, or as long as `pause`
// says (empty: sleeps). Without a socket, until the forkserver has ended that was killed, as far as there is one, which takes a moment
// after it was lost. Gives whether there can be a server now.
bool AwaitServer(const ContextOptions& context, const ServerPause& pause = {});

// What `attempt`, which starts something, gives at last: once more for each time that it was lost, up to retry_lost times, after
// `tell`, which gets what was lost and how often there was one before. It stays lost if there is no server.
template <typename Attempt, typename Tell>
auto RetryLost(const ContextOptions& context, const Attempt& attempt, const Tell& tell, const ServerPause& pause = {}) {
  auto result = attempt();
  for (uint32_t tried = 1; tried <= context.retry_lost && IsLost(result); ++tried) {
    tell(result, tried);
    if (!AwaitServer(context, pause)) break;
    result = attempt();
  }
  return result;
}
template <typename Attempt>
auto RetryLost(const ContextOptions& context, const Attempt& attempt) {
  return RetryLost(context, attempt, [](const auto&, uint32_t) {});
}

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_RETRY_LOST_H_
