#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "launcher/children.h"
#include "launcher/function_start.h"
#include "launcher/launch_internal.h"
#include "launcher/outcome.h"
#include "launcher/process_state.h"
#include "launcher/served_child.h"
#include "launcher/served_start.h"

namespace brood::internal {
namespace {

// Whether the server had no sandbox for it, so that nothing of it has run.
bool IsServersFailure(Process& process) {
  const absl::StatusOr<Outcome> outcome = process.Join(absl::ZeroDuration());
  if (!outcome.ok()) return false;
  const auto* const failed = std::get_if<SetupFailed>(&outcome->ending);
  return failed != nullptr && failed->step == kServerStep;
}

// The child is told of by then, or has ended. None: the server cannot, and nothing of it has run.
absl::StatusOr<std::optional<Process>> LaunchOnce(const ContextOptions& context, const LaunchOptions& options) {
  absl::StatusOr<ServedStart> served = ServedStart::Prepare(context);
  if (!served.ok()) return std::nullopt;
  absl::Status sent;
  bool elsewhere = false;
  absl::StatusOr<Process> process = LaunchInternal(options, LaunchTarget(), [&](const LaunchRecord& record) {
    elsewhere = true;
    return sent = served->Launch(record);
  });
  if (!sent.ok()) return std::nullopt;
  if (!process.ok()) return process.status();
  if (elsewhere) {
    if (!served->AwaitGuardian(*process).ok()) return std::nullopt;
    const absl::Status started = AwaitStarted(*StateOf(*process));
    if (ServedStart::NeedsNewServer(started)) {
      // Somebody with more rights has changed the caller since its server was started; what is started now inherits that.
      served->ReplaceServer();
      return started;
    }
    if (!started.ok() && IsServersFailure(*process)) return std::nullopt;
  }
  NoteChild(StateOf(*process));
  return *std::move(process);
}

}  // namespace

absl::StatusOr<Process> LaunchByForkServer(const ContextOptions& context, const LaunchOptions& options) {
  absl::StatusOr<std::optional<Process>> process = LaunchOnce(context, options);
  if (ServedStart::NeedsNewServer(process.status())) process = LaunchOnce(context, options);
  if (!process.ok()) return process.status();
  if (process->has_value()) return **std::move(process);
  return Process::Launch(options);
}

}  // namespace brood::internal
